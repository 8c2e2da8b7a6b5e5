package analyze

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxMemory is the most that an analysis gets unless it is configured: enough for
// images of some hundred thousand files, in bytes.
const maxMemory = 4 << 30

// defaultMemory is the limit of one of n children: three quarters of what the
// container, or else the machine, has are for them together.
func defaultMemory(root string, n int) int64 {
	return min(maxMemory, availableMemory(root)/4*3/int64(max(n, 1)))
}

// availableMemory is the least of the control groups' limits above this process
// (version 2 and 1) and the machine's memory, in bytes. The root is "/".
func availableMemory(root string) int64 {
	least := machineMemory(root)
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	for line := range strings.Lines(string(groups)) {
		// hierarchy-id:controllers:path, cgroups(7); version 2 has no controllers.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		base, name := "sys/fs/cgroup", "memory.max"
		switch fields[1] {
		case "":
		case "memory":
			base, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// Inside a container the path may name a group that is not mounted here;
		// the mount's root is then the container's own group.
		for dir := filepath.Clean("/" + fields[2]); ; dir = filepath.Dir(dir) {
			least = min(least, limitIn(filepath.Join(root, base, dir, name)))
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// limitIn reads one limit; "max", a missing file and nonsense are no limit.
func limitIn(path string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

func machineMemory(root string) int64 {
	f, err := os.Open(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return maxMemory
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil && n > 0 {
				return n << 10
			}
		}
	}
	return maxMemory
}
