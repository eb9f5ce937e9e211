//! The human form, written: what [`parse`](crate::parse) reads back as the same object.

use std::time::Duration;

use replicante_model::time::{from_millis, human};
use serde_json::{Value as Json, json};

use crate::object::{API_VERSION, Object};
use crate::values::human_size;

/// Where a specification holds durations, and where sizes. Those of a source are the ones of [`Endpoint`](crate::Endpoint)
/// and [`Limits`](crate::Limits), below its kind: what else a source has is written as it is stored.
const SPANS: [&str; 6] = [
    "/interval",
    "/refresh/interval",
    "/removal/grace",
    "/agents/timeout",
    "/agents/connect_timeout",
    "/agents/node_timeout",
];
const SIZES: [&str; 1] = ["/agents/max_body"];
const SPANS_OF_A_SOURCE: [&str; 1] = ["/timeout"];
const SIZES_OF_A_SOURCE: [&str; 2] = ["/limits/bytes", "/limits/total_bytes"];

impl Object {
    /// The document of a file that stands for this object, all its settings written out.
    pub fn to_document(&self) -> Json {
        let mut document = serde_json::to_value(self).unwrap_or_default();
        document["apiVersion"] = API_VERSION.into();
        let spec = &mut document["spec"];
        rewrite(spec, &SPANS, span);
        rewrite(spec, &SIZES, size);
        rewrite(spec, &["/agents/api"], |api| api.is_null().then(|| "auto".into()));
        rewrite(spec, &["/removal/max_shrink"], |percent| {
            Some(percent.as_u64().map_or_else(|| "off".into(), |percent| format!("{percent}%").into()))
        });
        if let Some(Json::Object(source)) = spec.get_mut("source") {
            for settings in source.values_mut() {
                rewrite(settings, &SPANS_OF_A_SOURCE, span);
                rewrite(settings, &SIZES_OF_A_SOURCE, size);
                drop_empty(settings, "tls");
            }
        }
        if let Some(agents) = spec.get_mut("agents") {
            drop_empty(agents, "tls");
        }
        document
    }
}

fn rewrite(value: &mut Json, pointers: &[&str], write: impl Fn(&Json) -> Option<Json>) {
    for pointer in pointers {
        if let Some(found) = value.pointer_mut(pointer)
            && let Some(written) = write(found)
        {
            *found = written;
        }
    }
}

fn drop_empty(value: &mut Json, key: &str) {
    if let Json::Object(map) = value
        && map.get(key) == Some(&json!({}))
    {
        map.remove(key);
    }
}

fn span(millis: &Json) -> Option<Json> {
    let span: Duration = from_millis(millis.as_u64()?);
    Some(human(span).into())
}

fn size(bytes: &Json) -> Option<Json> {
    bytes.as_u64().map(|bytes| human_size(bytes).into())
}
