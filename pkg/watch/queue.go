package watch

import "container/heap"

// dueQueue holds targets, the one that is due first at the front.
type dueQueue struct{ heap targetHeap }

func (q *dueQueue) first() *target {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

func (q *dueQueue) add(t *target) {
	if t.place >= 0 {
		heap.Fix(&q.heap, t.place)
		return
	}
	heap.Push(&q.heap, t)
}

func (q *dueQueue) remove(t *target) {
	if t.place >= 0 {
		heap.Remove(&q.heap, t.place)
	}
}

// targetHeap implements heap.Interface.
type targetHeap []*target

func (h targetHeap) Len() int           { return len(h) }
func (h targetHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }

func (h targetHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push adds a target at the end.
func (h *targetHeap) Push(x any) {
	t := x.(*target)
	t.place = len(*h)
	*h = append(*h, t)
}

// Pop removes the target at the end.
func (h *targetHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	t.place = -1
	*h = (*h)[:last]
	return t
}
