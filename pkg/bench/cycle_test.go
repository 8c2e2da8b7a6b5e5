package main

import "testing"

// TestUnchangedCycle: a cycle in which nothing changed costs HEADs and no other
// request, and no commit to the store.
func TestUnchangedCycle(t *testing.T) {
	const tags, cycles = 40, 5
	lab, err := newCycleLab(t.Context(), t.TempDir(), tags)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := lab.close(); err != nil {
			t.Error(err)
		}
	}()
	lab.registry.Reset()
	_, commits, err := lab.turn(t.Context(), tags, cycles*tags)
	if err != nil {
		t.Fatal(err)
	}
	if commits != 0 {
		t.Errorf("%d cycles of unchanged tags made %d commits, want none", cycles, commits)
	}
	heads := lab.registry.Requests("HEAD", "/manifests/")
	if heads < (1+cycles)*tags {
		t.Errorf("%d cycles and one before asked %d times for %d tags", cycles, heads, tags)
	}
	if all := lab.registry.Requests("", ""); all != heads {
		t.Errorf("of %d requests %d were HEADs for tags, want all", all, heads)
	}
}
