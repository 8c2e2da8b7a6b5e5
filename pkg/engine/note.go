package engine

import (
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/store/disk"
)

// note is a file that says where another file is.
type note struct {
	path  string
	about string // an absolute path
}

// leaveNote tells anchore-cli on this host, of the same user, where the admin
// password is, until the engine stops. It is a help and no more: nothing fails for
// want of it.
func (e *Engine) leaveNote(cacheDir string) {
	_, port, err := net.SplitHostPort(e.listener.Addr().String())
	if cacheDir == "" || err != nil {
		return
	}
	n := note{path: anchore.PasswordNote(cacheDir, port), about: filepath.Join(e.cfg.DataDir, passwordFile)}
	if _, err := os.Stat(n.about); err != nil {
		os.Remove(n.path) // of an engine that was killed: the port is ours now
		return
	}
	if err := n.write(); err != nil {
		e.log.Debug("anchore-cli will not find the file with the admin password by itself", "error", err)
		return
	}
	e.onClose("note", func() error { n.remove(); return nil })
}

// write replaces the file in one step, so that nobody reads half a path.
func (n note) write() error {
	dir := filepath.Dir(n.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return disk.Replace(n.path, []byte(n.about+"\n"))
}

// remove removes the file, unless another engine has written it since.
func (n note) remove() {
	if text, err := os.ReadFile(n.path); err == nil && strings.TrimSuffix(string(text), "\n") == n.about {
		os.Remove(n.path)
	}
}
