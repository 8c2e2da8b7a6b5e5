package anchore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestKindOf(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	e := E(Unavailable, "oci.Head", "registry %s does not answer", "r.io").Because(cause)
	e.After = time.Minute
	wrapped := fmt.Errorf("look: %w", e)
	if KindOf(wrapped) != Unavailable || AfterOf(wrapped) != time.Minute || !errors.Is(wrapped, cause) {
		t.Errorf("kind %v, after %v", KindOf(wrapped), AfterOf(wrapped))
	}
	if got := MessageOf(wrapped); got != "registry r.io does not answer" {
		t.Errorf("MessageOf = %q", got)
	}
	outer := E(NotFound, "x.Y", "nothing").Because(wrapped)
	if KindOf(outer) != NotFound {
		t.Errorf("the outermost kind should win, got %v", KindOf(outer))
	}
	if KindOf(cause) != Internal || KindOf(context.Canceled) != Unavailable {
		t.Errorf("errors without a kind: %v, %v", KindOf(cause), KindOf(context.Canceled))
	}
	if got := MessageOf(E(Internal, "x", "secret path /var")); strings.Contains(got, "/var") {
		t.Errorf("MessageOf shows internals: %q", got)
	}
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if name := k.String(); strings.HasPrefix(name, "Kind(") || seen[name] {
			t.Errorf("kind %d is called %q", int(k), name)
		}
		seen[k.String()] = true
	}
}

func TestSecretIsNotShown(t *testing.T) {
	s := Secret("hunter2")
	doc, err := json.Marshal(map[string]any{"p": s, "in": struct{ P Secret }{s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(doc), fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q", s, s, s, s), fmt.Sprintf("%+v", struct{ P Secret }{s})} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("the secret is in %q", shown)
		}
	}
	if s.Reveal() != "hunter2" {
		t.Errorf("Reveal = %q", s.Reveal())
	}
}
