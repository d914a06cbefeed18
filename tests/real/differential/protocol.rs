//! What clients live by: watches, versions. T41 and T42.

use super::scenario::{Ask, Scenario, cordon, core, patch, pod_on};
use serde_json::json;

/// The scenarios of this file.
pub fn scenarios() -> Vec<Scenario> {
    vec![watches(), versions()]
}

fn watches() -> Scenario {
    let pods = core("pods");
    let labels = |app: Option<&str>| patch(&core("pods/a"), json!({"metadata": {"labels": {"app": app}}}));
    Scenario::new("t41_watches_end_begin_and_lose_sight")
        .has(pod_on("a", 0))
        .has(pod_on("b", 0))
        .watches(&format!("{pods}?watch=1&timeoutSeconds=6&labelSelector=app%3Da"))
        .watches(&format!("{pods}?watch=1&timeoutSeconds=3&resourceVersion=1"))
        .watches(&format!(
            "{pods}?watch=1&timeoutSeconds=6&labelSelector=app%3Db&sendInitialEvents=true&\
             resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        ))
        .sends(422, Ask::new("GET", &format!("{pods}?watch=1&sendInitialEvents=true"), json!(null)))
        .sends(504, Ask::new("GET", &format!("{pods}?resourceVersion=99999999&limit=1"), json!(null)))
        .sends(400, Ask::new("GET", &format!("{pods}?fieldSelector=spec.odd%3D1"), json!(null)))
        .waits(1.0)
        .sends(200, labels(Some("x")))
        .waits(1.0)
        .sends(200, labels(Some("a")))
        .looks(7.0)
        .differs(
            "answer 7",
            "the box remembers all that happened since it began, so no version is too old there by itself",
        )
}

const VERSION: &[&str] = &["/metadata/resourceVersion"];

fn versions() -> Scenario {
    let node = "/api/v1/nodes/$0";
    let stale = json!({"metadata": {"resourceVersion": "1", "labels": {"odd": "1"}}});
    let map = |version: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "resourceVersion": version},
               "data": {"a": "2"}})
    };
    Scenario::new("t42_stale_versions_conflict_and_what_changes_nothing_has_no_version")
        .object(&core("configmaps"), json!({"metadata": {"name": "map"}, "data": {"a": "1"}}))
        .sends(409, Ask::new("PUT", &core("configmaps/map"), map("1")))
        .sends(409, patch(&core("configmaps/map"), stale.clone()))
        .sends(409, patch(node, stale))
        .sends(409, Ask::new("POST", &core("configmaps"), json!({"metadata": {"name": "map"}})))
        .sends(404, Ask::new("GET", &core("configmaps/none"), json!(null)))
        .sends(200, cordon(0))
        .waits(3.0)
        .reads(node, VERSION)
        .sends(200, cordon(0))
        .reads(node, VERSION)
        .reads(&core("configmaps/map"), &["/metadata/resourceVersion", "/data/a"])
        .sends(200, patch(&core("configmaps/map"), json!({"data": {"a": "1"}})))
        .reads(&core("configmaps/map"), VERSION)
        .sends(200, Ask::new("PUT", &core("configmaps/map"), map("")))
        .reads(&core("configmaps/map"), &["/metadata/resourceVersion", "/data/a"])
        .looks(2.0)
}
