package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/anchore/anchore-engine/pkg/anchore"
	"github.com/anchore/anchore-engine/pkg/api"
	"github.com/anchore/anchore-engine/pkg/catalog"
	"github.com/anchore/anchore-engine/pkg/server/rest"
)

// ListImageTags answers with a record for each tag of each image.
func (s *Server) ListImageTags(w http.ResponseWriter, r *http.Request, params api.ListImageTagsParams) {
	filter := catalog.ImageFilter{State: imageStates(rest.Given(params.ImageStatus))}
	images, _, err := s.cfg.Catalog.Images(r.Context(), account(r), filter, "", 0)
	list := []api.ImageTag{}
	for _, img := range images {
		for _, tag := range img.Tags {
			list = append(list, api.ImageTag{
				ImageDigest: img.Digest, ParentDigest: img.TagDigest, ImageID: img.ID, Fulltag: tag.Ref.FullTag(),
				AnalysisStatus: api.ImageTagAnalysisStatus(img.Status), ImageStatus: api.ImageTagImageStatus(img.State),
				CreatedAt: tag.CreatedAt.Unix(), AnalyzedAt: rest.SecondsOrNull(img.AnalyzedAt), TagDetectedAt: tag.DetectedAt.Unix(),
			})
		}
	}
	s.Send(w, r, list, err)
}

// imageStates is the catalog's word for a list of states; none is the active ones.
func imageStates(asked []api.ListImageTagsParamsImageStatus) string {
	active := slices.Contains(asked, api.ListImageTagsParamsImageStatusActive)
	deleting := slices.Contains(asked, api.ListImageTagsParamsImageStatusDeleting)
	switch {
	case slices.Contains(asked, api.ListImageTagsParamsImageStatusAll), active && deleting:
		return "all"
	case deleting:
		return string(anchore.ImageDeleting)
	}
	return string(anchore.ImageActive)
}

// ListErrorCodes answers with the names in detail.error_codes.
func (s *Server) ListErrorCodes(w http.ResponseWriter, r *http.Request) {
	list := api.ErrorCodeList{}
	for _, c := range anchore.Codes() {
		list = append(list, api.ErrorCode{Name: c.Name, Description: c.Description})
	}
	s.Write(w, r, http.StatusOK, list)
}

// ListEventTypes answers with the types of events by category and subcategory.
func (s *Server) ListEventTypes(w http.ResponseWriter, r *http.Request) {
	list := api.EventTypeList{}
	for _, k := range anchore.EventKinds() { // sorted, so that each group is in one piece
		words := strings.SplitN(string(k.Type), ".", 3)
		if n := len(list); n == 0 || list[n-1].Name != words[0] {
			list = append(list, api.EventCategory{Name: words[0], Description: anchore.EventCategory(words[0]), Subcategories: []api.EventSubcategory{}})
		}
		category := &list[len(list)-1]
		if n := len(category.Subcategories); n == 0 || category.Subcategories[n-1].Name != words[1] {
			category.Subcategories = append(category.Subcategories, api.EventSubcategory{
				Name: words[1], Description: anchore.EventCategory(words[0] + "." + words[1]), Events: []api.EventType{},
			})
		}
		group := &category.Subcategories[len(category.Subcategories)-1]
		group.Events = append(group.Events, api.EventType{
			Name: words[2], Type: string(k.Type), Level: api.EventTypeLevel(k.Level), Message: k.Message, ResourceType: k.Resource,
		})
	}
	s.Write(w, r, http.StatusOK, list)
}
