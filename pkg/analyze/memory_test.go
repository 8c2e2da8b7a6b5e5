package analyze

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAvailableMemory(t *testing.T) {
	const meminfo = "MemTotal:       16384000 kB\nMemFree:         1 kB\n"
	const machine = 16384000 << 10
	tests := []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"machine alone", map[string]string{"proc/meminfo": meminfo}, machine},
		{"nothing known", nil, maxMemory},
		{"v2 in a container", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, 1 << 30},
		{"v2 without a limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, machine},
		{"v2 limited above", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "2147483648\n",
		}, 2 << 30},
		{"v1", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
		}, 512 << 20},
		{"v1 without a limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, machine},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: many kB", "proc/self/cgroup": "0\n::\n", "sys/fs/cgroup/memory.max": "-1"}, maxMemory},
	}
	for _, test := range tests {
		root := t.TempDir()
		for name, text := range test.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := availableMemory(root); got != test.want {
			t.Errorf("%s: availableMemory() = %d, want %d", test.name, got, test.want)
		}
	}
}

func TestDefaultMemory(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/meminfo"), []byte("MemTotal: 8388608 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for children, want := range map[int]int64{0: 4 << 30, 1: 4 << 30, 2: 3 << 30, 6: 1 << 30} {
		if got := defaultMemory(root, children); got != want {
			t.Errorf("defaultMemory(%d children of 8 GiB) = %d, want %d", children, got, want)
		}
	}
}
