package audit

import (
	"encoding/json"
	"testing"
)

// What OCSF requires of every event of the class HTTP Activity (schema 1.3.0): the
// required attributes of the base event, its metadata and product, and that one at
// least of each pair is there. An event of which nothing is known has them, too.
func TestOCSFRequires(t *testing.T) {
	for name, e := range map[string]Event{
		"nothing known": {},
		"allowed":       {Time: noon, RequestID: "id", Method: "GET", Decision: Allow, Status: 200, Subject: "s", Tenant: "t"},
		"Envoy's own":   {Time: noon, Decision: Failure, Stage: "envoy", Reason: "http1.codec_error", Status: 400},
		"no answer":     {Time: noon, RequestID: "id", Method: "POST", Decision: Deny},
	} {
		for _, line := range [][]byte{e.AppendJSON(nil), e.appendLine(nil, 3)} {
			var event map[string]any
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, required := range []string{"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"} {
				if _, ok := event[required]; !ok {
					t.Errorf("%s: no %s: %s", name, required, line)
				}
			}
			metadata, _ := event["metadata"].(map[string]any)
			product, _ := metadata["product"].(map[string]any)
			if metadata["version"] != OCSFVersion || product["vendor_name"] == nil || product["name"] == nil {
				t.Errorf("%s: metadata %v", name, metadata)
			}
			for _, pair := range [][2]string{{"http_request", "http_response"}, {"dst_endpoint", "src_endpoint"}} {
				if event[pair[0]] == nil && event[pair[1]] == nil {
					t.Errorf("%s: neither %s nor %s: %s", name, pair[0], pair[1], line)
				}
			}
			class, _ := event["class_uid"].(float64)
			activity, _ := event["activity_id"].(float64)
			if kind, _ := event["type_uid"].(float64); kind != class*100+activity || class != 4002 || event["category_uid"] != 4.0 {
				t.Errorf("%s: type %v of class %v, activity %v", name, kind, class, activity)
			}
			if activity < 0 || activity > 8 && activity != 99 {
				t.Errorf("%s: activity %v", name, activity)
			}
		}
	}
}
