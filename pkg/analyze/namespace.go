package analyze

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user and group that a child sees itself as. To the files outside
// its namespace it stays the engine's user; inside it has no capability.
const nobody = 65534

// attributes are those of a child: it dies with its parent, leads its own process
// group, and, if confined, has its own user and network namespace, the latter
// without any interface that is up.
func attributes(confined bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if confined {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// probeNamespaces starts a program that does not exist in namespaces of its own:
// where they are permitted, the program's absence is what fails.
func probeNamespaces() error {
	_, err := os.StartProcess("/dev/null/none", []string{"none"}, &os.ProcAttr{Sys: attributes(true)})
	if errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// refusesNamespaces reports whether a child could not start because the system
// forbids or has run out of namespaces.
func refusesNamespaces(err error) bool {
	for _, refused := range []error{syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSPC, syscall.EUSERS, syscall.ENOSYS} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

// awaitExit returns when the child has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, &unix.Siginfo{}, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
