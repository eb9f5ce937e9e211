//! The source `prometheus`: an endpoint of Prometheus' HTTP service discovery, as other tools use it.
//!
//! The form is <https://prometheus.io/docs/prometheus/latest/http_sd/>: a list of target groups, each with labels. A
//! label tells the cluster of a group; groups of the same cluster are one cluster. A node is known by its address,
//! since a target has no other name. Its group's other labels are its own, but for those that begin with two underscores: they
//! are for Prometheus itself.

use std::cell::Cell;
use std::collections::BTreeMap;

use replicante_model::labels::{Labels, add_label};
use replicante_model::record::SourceAnswer;
use replicante_objects::{Endpoint, Fields};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};
use serde::{Deserialize, Serialize};

use crate::answer::{Collector, Page};
use crate::endpoint::Caller;
use crate::error::{Failure, SourceError};
use crate::lenient::{Lenient, Read, Text};
use crate::node::RawNodes;
use crate::record::RawRecord;
use crate::target::Targets;
use crate::{Fetching, Outside, Settings, Source};

/// What the answer should look like, for errors.
const FORM: &str = r#"[{"targets": ["host:port"], "labels": {...}}]"#;

/// An endpoint of Prometheus' HTTP service discovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prometheus {
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The label whose value is the cluster's id.
    pub cluster_label: String,
    /// The label whose value is the cluster's display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name_label: Option<String>,
    #[serde(flatten)]
    pub targets: Targets,
}

impl Settings for Prometheus {
    const NAME: &'static str = "prometheus";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        const LABEL: &str = "the name of the label whose value is the cluster's id";
        let endpoint = Endpoint::read(fields);
        let display_name_label = read_label(fields, "display_name_label", "the name of a label");
        let targets = Targets::read(fields);
        if !fields.has("cluster_label") {
            fields.missing("cluster_label", LABEL);
        }
        let cluster_label = read_label(fields, "cluster_label", LABEL)?;
        Some(Prometheus { endpoint: endpoint?, cluster_label, display_name_label, targets })
    }
}

/// A label's name may be any text since Prometheus 3; ours is bounded.
fn read_label(fields: &mut Fields<'_>, name: &'static str, expected: &str) -> Option<String> {
    let (label, entry) = fields.text(name, expected)?;
    if label.len() > 128 || label.chars().any(char::is_control) {
        fields.refuse(entry, format!("{expected}, at most 128 bytes"));
        return None;
    }
    Some(label.into())
}

impl Prometheus {
    async fn ask(&self, outside: &Outside) -> Result<SourceAnswer, Failure> {
        let answer = Caller::new(&self.endpoint, outside).await?.get(self.endpoint.url.as_str()).await?;
        self.parse(&answer)
    }

    fn parse(&self, json: &[u8]) -> Result<SourceAnswer, Failure> {
        let mut collector = Collector::of_groups(self.endpoint.limits.clone());
        collector.read_json(json, |collector, parser| {
            parser.deserialize_any(Lenient(Groups { source: self, collector }))
        })?;
        Ok(collector.finish())
    }
}

impl Source for Prometheus {
    fn fetch<'a>(&'a self, outside: &'a Outside) -> Fetching<'a> {
        Box::pin(async move {
            let asked = self.ask(outside).await;
            asked.map_err(|failure| SourceError { tried: self.shown(), form: FORM, failure })
        })
    }

    fn shown(&self) -> String {
        format!("GET {}", self.endpoint.shown_url())
    }
}

/// Reads the list of target groups into a collector.
struct Groups<'a> {
    source: &'a Prometheus,
    collector: &'a mut Collector,
}

impl<'de> Read<'de> for Groups<'_> {
    type Output = Page;

    fn other(self, what: &'static str) -> Page {
        Page::wrong(format!("the answer is {what}: expected a list of target groups"))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Page, A::Error> {
        let too_many = Cell::new(false);
        let nodes = self.collector.limits().nodes;
        self.collector.add_list(list, &too_many, || GroupSeed {
            source: self.source,
            nodes,
            too_many: &too_many,
        })?;
        Ok(Page::default())
    }
}

/// Reads one target group as a record of its cluster.
struct GroupSeed<'a> {
    source: &'a Prometheus,
    nodes: u64,
    too_many: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for GroupSeed<'_> {
    type Value = RawRecord;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawRecord, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl<'de> Read<'de> for GroupSeed<'_> {
    type Output = RawRecord;

    fn other(self, what: &'static str) -> RawRecord {
        RawRecord::wrong(format!("the target group is {what}: expected an object"))
    }

    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawRecord, A::Error> {
        let (mut targets, mut labels, mut repeated) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            let again = match key.as_str() {
                "targets" => {
                    let seed = TargetsSeed { source: self.source, most: self.nodes, too_many: self.too_many };
                    targets.replace(map.next_value_seed(seed)?).is_some()
                }
                "labels" => labels.replace(map.next_value::<GroupLabels>()?).is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    false
                }
            };
            if again {
                repeated = Some(format!("{key} is given twice"));
            }
        }
        Ok(match repeated {
            Some(wrong) => RawRecord::wrong(wrong),
            None => self.source.record(targets, labels.unwrap_or_default()),
        })
    }
}

impl Prometheus {
    fn record(&self, targets: Option<RawNodes>, labels: GroupLabels) -> RawRecord {
        let label = |name: &String| {
            labels
                .0
                .as_ref()
                .map(|values| values.get(name).cloned().unwrap_or_default())
                .map_err(String::clone)
        };
        let id = label(&self.cluster_label).and_then(|text| {
            let name = format!("label `{}`", self.cluster_label);
            text.optional(&name)?.ok_or_else(|| format!("no {name}"))
        });
        let id = match id {
            Ok(id) => id,
            Err(wrong) => return RawRecord::wrong(wrong),
        };
        let display_name = match &self.display_name_label {
            Some(name) => label(name).unwrap_or_default(),
            None => Text::Missing,
        };
        let nodes = targets.unwrap_or_else(|| RawNodes::refused("no targets"));
        RawRecord::of(id, display_name, nodes.sharing(self.labels(&labels)))
    }

    /// The labels of a group that its targets have as nodes. What two of them say is the cluster's.
    fn labels(&self, labels: &GroupLabels) -> Labels {
        let mut kept = Labels::new();
        for (name, value) in labels.0.iter().flatten() {
            let is_cluster = *name == self.cluster_label || Some(name) == self.display_name_label.as_ref();
            if let Text::Given(value) = value
                && !is_cluster
                && !name.starts_with("__")
            {
                add_label(&mut kept, name, value);
            }
        }
        kept
    }
}

/// Reads the targets of a group.
struct TargetsSeed<'a> {
    source: &'a Prometheus,
    /// The most, and what is set when there are more.
    most: u64,
    too_many: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for TargetsSeed<'_> {
    type Value = RawNodes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawNodes, D::Error> {
        deserializer.deserialize_any(Lenient(self))
    }
}

impl<'de> Read<'de> for TargetsSeed<'_> {
    type Output = RawNodes;

    fn other(self, what: &'static str) -> RawNodes {
        RawNodes::refused(format!("targets is {what}: expected a list"))
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawNodes, A::Error> {
        let mut nodes = RawNodes::none();
        let mut count = 0;
        while let Some(target) = list.next_element::<Text>()? {
            count += 1;
            if count > self.most {
                self.too_many.set(true);
                return Err(A::Error::custom("too many targets"));
            }
            let target = target.optional("a target").map(Option::unwrap_or_default);
            nodes.add_checked(
                target
                    .and_then(|target| self.source.targets.url(&target))
                    .map(|url| (url.clone(), url, Labels::new())),
            );
        }
        Ok(nodes)
    }
}

/// The labels of a group, or why they are none. A value that is no text matters only where it is asked for.
struct GroupLabels(Result<BTreeMap<String, Text>, String>);

impl Default for GroupLabels {
    fn default() -> Self {
        GroupLabels(Ok(BTreeMap::new()))
    }
}

struct ReadLabels;

impl<'de> Read<'de> for ReadLabels {
    type Output = GroupLabels;

    fn other(self, what: &'static str) -> GroupLabels {
        if what == "null" {
            GroupLabels::default()
        } else {
            GroupLabels(Err(format!("labels is {what}: expected an object")))
        }
    }

    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<GroupLabels, A::Error> {
        let mut values = BTreeMap::new();
        let mut repeated = false;
        while let Some((name, value)) = map.next_entry()? {
            repeated |= values.insert(name, value).is_some();
        }
        Ok(GroupLabels(if repeated { Err("a label is given twice".into()) } else { Ok(values) }))
    }
}

impl<'de> Deserialize<'de> for GroupLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient(ReadLabels))
    }
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
