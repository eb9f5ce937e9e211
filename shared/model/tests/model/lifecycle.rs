//! Random sources: whatever they answer, nothing that is reported is removed, and nothing is removed but what was absent from
//! complete answers, often enough, for long enough, and not too much of it at once; each end and return is told
//! (discovery.md, "Removal").

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use replicante_model::Timestamp;
use replicante_model::absence::{Absences, Confirmation, RemovalRules, answer_hash};
use replicante_model::change::Change;
use replicante_model::discovery::{ClusterSettings, DiscoveryState, Given, Run, answered, failed};
use replicante_model::intent::Intents;
use replicante_model::record::{ClusterRecord, DiscoveredCluster, RejectedRecord, SourceAnswer};

use crate::given::{NOW, heard, up};
use crate::history::History;

const RULES: RemovalRules =
    RemovalRules { grace: Duration::from_secs(100), confirmations: 3, max_shrink: Some(30) };
const CLUSTERS: usize = 8;
const NODES: usize = 4;

/// What happens to the source's list before it answers.
#[derive(Clone, Debug)]
enum Turn {
    Nothing,
    Empty,
    Fails,
    /// A bad record in the place of a good one.
    Bad(Index),
    Shrinks,
    Grows,
    Everything,
    Renamed,
    Repeated(Index),
    NoNodes(Index),
    LosesNode(Index, Index),
    GainsNode(Index, Index),
    /// The operator confirms whatever is held.
    Confirmed,
}

fn turn() -> impl Strategy<Value = Turn> {
    let any = any::<Index>;
    prop_oneof![
        6 => Just(Turn::Nothing),
        1 => Just(Turn::Empty),
        1 => Just(Turn::Fails),
        1 => any().prop_map(Turn::Bad),
        4 => Just(Turn::Shrinks),
        1 => Just(Turn::Grows),
        1 => Just(Turn::Everything),
        1 => Just(Turn::Renamed),
        1 => any().prop_map(Turn::Repeated),
        1 => any().prop_map(Turn::NoNodes),
        2 => (any(), any()).prop_map(|(cluster, node)| Turn::LosesNode(cluster, node)),
        2 => (any(), any()).prop_map(|(cluster, node)| Turn::GainsNode(cluster, node)),
        2 => Just(Turn::Confirmed),
    ]
}

type List = BTreeMap<String, BTreeSet<String>>;

/// The source's list, which shrinks and grows, and what it answers.
struct Source {
    list: List,
    names: usize,
}

impl Source {
    fn new() -> Self {
        let mut source = Source { list: List::new(), names: 0 };
        source.add(CLUSTERS);
        source
    }

    fn add(&mut self, count: usize) {
        for _ in 0..count {
            self.names += 1;
            let nodes = (0..NODES).map(|n| format!("n{n}")).collect();
            self.list.insert(format!("c{:03}", self.names), nodes);
        }
    }

    /// The answer to a turn. `None`: it gives none that counts.
    fn answer(&mut self, turn: &Turn) -> Option<SourceAnswer> {
        let id = |list: &List, index: &Index| {
            (!list.is_empty()).then(|| list.keys().nth(index.index(list.len())).unwrap().clone())
        };
        let mut rejected = Vec::new();
        let mut repeated = Vec::new();
        let mut told = None;
        match turn {
            Turn::Nothing | Turn::Confirmed => {}
            Turn::Fails => return None,
            Turn::Empty => told = Some(List::new()),
            Turn::Bad(index) => {
                if let Some(id) = id(&self.list, index) {
                    let mut list = self.list.clone();
                    list.remove(&id);
                    told = Some(list);
                    rejected.push(RejectedRecord { record: id, reason: "an address is no URL".into() });
                }
            }
            Turn::Shrinks => {
                // Just below what one answer may take.
                for _ in 0..self.list.len() * 29 / 100 {
                    self.list.pop_first();
                }
            }
            Turn::Grows => self.add(2),
            Turn::Everything => {
                self.names = 0;
                self.add(CLUSTERS);
            }
            Turn::Renamed => {
                let renamed = |(id, nodes): (String, BTreeSet<String>)| (format!("r-{id}"), nodes);
                self.list = std::mem::take(&mut self.list).into_iter().map(renamed).take(CLUSTERS).collect();
            }
            Turn::Repeated(index) => repeated.extend(id(&self.list, index)),
            Turn::NoNodes(index) => {
                if let Some(id) = id(&self.list, index) {
                    self.list.insert(id, BTreeSet::new());
                }
            }
            Turn::LosesNode(index, node) => {
                if let Some(nodes) = id(&self.list, index).and_then(|id| self.list.get_mut(&id)) {
                    nodes.remove(&format!("n{}", node.index(NODES)));
                }
            }
            Turn::GainsNode(index, node) => {
                if let Some(nodes) = id(&self.list, index).and_then(|id| self.list.get_mut(&id)) {
                    nodes.insert(format!("n{}", node.index(NODES)));
                }
            }
        }
        let record = |(id, nodes): (String, BTreeSet<String>)| {
            let labels =
                nodes.iter().map(|node| (node.clone(), [("is".into(), node.clone())].into())).collect();
            let nodes = nodes.into_iter().map(|node| (node.clone(), format!("http://{node}"))).collect();
            (id.clone(), ClusterRecord { cluster_id: id, display_name: None, nodes, labels })
        };
        let list = told.unwrap_or_else(|| self.list.clone());
        Some(SourceAnswer { clusters: list.into_iter().map(record).collect(), rejected, repeated })
    }
}

/// What the test keeps of one whole, in its own words: for each id, since when and in how many complete answers in a row
/// it is absent; and what went by itself lately.
#[derive(Default)]
struct Oracle {
    absent: BTreeMap<String, (Timestamp, u32)>,
    /// On an operator's word.
    confirmed: BTreeSet<String>,
    removed: BTreeMap<String, Timestamp>,
}

impl Oracle {
    fn answered(
        &mut self,
        known: &BTreeSet<String>,
        named: &BTreeSet<String>,
        word: Option<&Confirmation>,
        now: Timestamp,
    ) {
        self.absent.retain(|id, _| known.contains(id) && !named.contains(id));
        self.confirmed.retain(|id| known.contains(id) && !named.contains(id));
        // What came back is no longer gone.
        self.removed.retain(|id, _| !named.contains(id));
        for id in known.difference(named) {
            self.absent.entry(id.clone()).or_insert((now, 0)).1 += 1;
        }
        let doubted: BTreeSet<String> =
            known.difference(named).filter(|id| !self.confirmed.contains(*id)).cloned().collect();
        if let Some(word) = word {
            assert_eq!(word.answer, answer_hash(&doubted.iter().collect::<Vec<_>>()), "that very set");
            self.confirmed.extend(doubted);
        }
    }

    /// Whether these may go, by themselves or on the operator's word.
    fn check(&mut self, gone: &[String], known: usize, now: Timestamp) {
        for id in gone {
            let (since, answers) =
                self.absent.get(id).copied().unwrap_or_else(|| panic!("{id} was not absent"));
            assert!(answers >= RULES.confirmations, "{id} was absent from {answers} answers");
            assert!(now.since(since) >= RULES.grace, "{id} is absent since {since}, and it is {now}");
            self.absent.remove(id);
        }
        self.removed.retain(|_, at| now.since(*at) < RULES.grace);
        let all = known - self.confirmed.len() + self.removed.len();
        let by_itself = gone.iter().filter(|id| !self.confirmed.contains(*id));
        let by_itself: Vec<_> = by_itself.map(|id| (id.clone(), now)).collect();
        if !by_itself.is_empty() {
            self.removed.extend(by_itself);
            let too_many = self.removed.len() >= 2 && self.removed.len() * 100 > all * 30;
            assert!(!too_many, "{:?} of {all} went by themselves", self.removed);
            assert!(self.removed.len() < all, "all of it went by itself");
        }
    }
}

/// A deployment: the discovery's record, those of its clusters, and what the test knows better.
struct World {
    state: DiscoveryState,
    items: BTreeMap<String, DiscoveredCluster>,
    histories: BTreeMap<String, History>,
    ended: BTreeSet<String>,
    clusters: Oracle,
    nodes: BTreeMap<String, Oracle>,
    now: Timestamp,
    removals: usize,
    returns: usize,
}

impl World {
    fn new() -> Self {
        World {
            state: DiscoveryState::default(),
            items: BTreeMap::new(),
            histories: BTreeMap::new(),
            ended: BTreeSet::new(),
            clusters: Oracle::default(),
            nodes: BTreeMap::new(),
            now: NOW,
            removals: 0,
            returns: 0,
        }
    }

    /// What an operator confirms who looks at what is held.
    fn intents(&self) -> Intents {
        let word = |absences: &Absences| {
            let held = absences.held.as_ref()?;
            Some(Confirmation { answer: held.answer.clone(), held_since: held.since, actor: "ann".into() })
        };
        let of_nodes = |(id, known): (&String, &replicante_model::discovery::KnownCluster)| {
            Some((id.clone(), vec![word(&known.nodes)?]))
        };
        Intents {
            clusters: word(&self.state.absences).into_iter().collect(),
            nodes: self.state.clusters.iter().filter_map(of_nodes).collect(),
            ..Intents::default()
        }
    }

    fn run(&mut self, answer: Option<&SourceAnswer>, intents: &Intents) {
        let before = std::mem::take(&mut self.state);
        let (settings, owners) = (ClusterSettings::default(), BTreeMap::new());
        let now = self.now;
        let given = Given { name: "fleet", settings: &settings, rules: RULES, owners: &owners, intents, now };
        let run = match answer {
            Some(answer) => answered(&before, answer, &given),
            None => failed(&before, "status 500", now),
        };
        assert!(!run.more, "few clusters fit one commit");
        match answer {
            Some(answer) => self.check(&before, &run, answer, intents),
            None => {
                assert!(run.items.is_empty(), "a failed run changes nothing");
                assert_eq!((&run.state.clusters, &run.state.absences), (&before.clusters, &before.absences));
            }
        }
        for item in run.items {
            self.items.insert(item.record.cluster_id.clone(), item);
        }
        self.state = run.state;
        self.refresh_all();
    }

    fn check(&mut self, before: &DiscoveryState, run: &Run, answer: &SourceAnswer, intents: &Intents) {
        let now = self.now;
        let bad: BTreeSet<String> = answer.rejected.iter().map(|bad| bad.record.clone()).collect();
        let named: BTreeSet<String> = answer.clusters.keys().cloned().chain(bad.clone()).collect();
        let known: BTreeSet<String> = before.clusters.keys().cloned().collect();
        let is_gone = |id: &&String| !run.state.clusters.contains_key(*id);
        let gone: Vec<String> = known.iter().filter(is_gone).cloned().collect();
        // What a bad record says is neither one thing nor the other.
        let absent = self.clusters.absent.clone();
        // The operator's word, where the run tells that it was taken.
        let taken = |cluster: Option<&str>| {
            let is_it = |change: &Change| match change {
                Change::DiscoveryShrinkConfirmed(shrink) => shrink.cluster.as_deref() == cluster,
                _ => false,
            };
            run.changes.iter().any(is_it)
        };
        self.clusters.answered(&known, &named, intents.clusters.first().filter(|_| taken(None)), now);
        self.clusters.absent.extend(absent.into_iter().filter(|(id, _)| bad.contains(id)));
        assert!(gone.iter().all(|id| !named.contains(id)), "what is reported is never removed");
        self.clusters.check(&gone, known.len(), now);
        for (id, record) in &answer.clusters {
            let known = &run.state.clusters[id];
            assert_eq!(run.state.absences.missing_since(id), None, "{id} is reported");
            let all = known.record.nodes.keys();
            assert!(
                record.nodes.keys().all(|node| known.record.nodes.contains_key(node)),
                "{id} has its nodes"
            );
            assert!(
                known.record.labels.keys().eq(known.record.nodes.keys()),
                "{id}: each node has its labels"
            );
            let oracle = self.nodes.entry(id.clone()).or_default();
            let Some(before) = before.clusters.get(id) else {
                *oracle = Oracle::default();
                continue;
            };
            let were = before.record.nodes.keys().chain(before.nodes.absent.keys()).cloned().collect();
            let word = intents.nodes.get(id).and_then(|words| words.first()).filter(|_| taken(Some(id)));
            oracle.answered(&were, &record.nodes.keys().cloned().collect(), word, now);
            let are: BTreeSet<String> = all.chain(known.nodes.absent.keys()).cloned().collect();
            let gone: Vec<String> = were.difference(&are).cloned().collect();
            oracle.check(&gone, were.len(), now);
        }
    }

    /// Each cluster is refreshed, and tells what its discovery decided. The law is checked by [`History`].
    fn refresh_all(&mut self) {
        for (id, item) in &self.items {
            let answers = heard([("n0", up("n0", &[])), ("n1", up("n1", &[]))]);
            let is_over = item.removed.is_some();
            if !self.histories.contains_key(id) && is_over {
                continue;
            }
            let history = self.histories.entry(id.clone()).or_insert_with(|| History::of(item.clone()));
            let before = history.state.view.clone();
            (history.now, history.input) = (self.now, item.clone());
            let commit = history.refresh(&answers);
            let names = commit.names();
            if before.is_none() {
                assert_eq!(names[0], "cluster.new", "{id}");
                self.returns += usize::from(self.ended.remove(id));
            }
            if is_over {
                assert_eq!(names.last(), Some(&"cluster.removed"), "{id}");
                assert!(history.refresh(&answers).ended, "its last event is its last");
                self.histories.remove(id);
                self.ended.insert(id.clone());
                self.removals += 1;
                continue;
            }
            let view = history.view();
            assert_eq!(view.missing_since, item.missing_since, "{id}");
            if let Some(before) = before {
                let told = |name: &str| names.contains(&name);
                assert_eq!(
                    before.missing_since != view.missing_since,
                    told("cluster.missing") || told("cluster.restored")
                );
                let gone = before.nodes.keys().filter(|node| !view.nodes.contains_key(*node)).count();
                assert_eq!(names.iter().filter(|name| **name == "node.removed").count(), gone, "{id}");
            }
            for (node, view) in &view.nodes {
                assert_eq!(view.missing_since, item.missing_nodes.get(node).copied(), "{id}: {node}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_goes_that_should_not_and_every_end_and_return_is_told(
        turns in prop::collection::vec((turn(), prop_oneof![1u64..20, 20u64..60, 100u64..150]), 1..60),
    ) {
        let (mut world, mut source) = (World::new(), Source::new());
        world.run(source.answer(&Turn::Nothing).as_ref(), &Intents::default());
        for (turn, seconds) in &turns {
            world.now = world.now.plus(Duration::from_secs(*seconds));
            let intents =
                if matches!(turn, Turn::Confirmed) { world.intents() } else { Intents::default() };
            world.run(source.answer(turn).as_ref(), &intents);
        }
    }
}

#[test]
fn a_source_that_shrinks_by_a_little_less_than_it_may_again_and_again_is_held() {
    let (mut world, mut source) = (World::new(), Source::new());
    source.add(92);
    for turn in 0..40 {
        let shrinks = if turn % 4 == 1 { Turn::Shrinks } else { Turn::Nothing };
        world.now = world.now.plus(Duration::from_secs(20));
        world.run(source.answer(&shrinks).as_ref(), &Intents::default());
    }
    assert!(world.state.absences.held.is_some());
    assert!(world.removals <= 30, "{} removals", world.removals);
    let everything = world.intents();
    world.run(source.answer(&Turn::Nothing).as_ref(), &everything);
    for _ in 0..3 {
        world.now = world.now.plus(Duration::from_secs(60));
        world.run(source.answer(&Turn::Nothing).as_ref(), &Intents::default());
    }
    assert_eq!(world.state.clusters.len(), source.list.len());
    assert_eq!(world.removals + source.list.len(), 100);
    source.names = 0;
    source.add(100);
    world.run(source.answer(&Turn::Nothing).as_ref(), &Intents::default());
    assert_eq!(world.returns, world.removals, "each return is told");
}

#[test]
fn a_thousand_clusters_survive_a_day_of_empty_answers_until_an_operator_confirms() {
    let (mut world, mut source) = (World::new(), Source::new());
    source.add(1_000 - CLUSTERS);
    world.run(source.answer(&Turn::Nothing).as_ref(), &Intents::default());
    let mut told = Vec::new();
    for _ in 0..24 * 60 {
        world.now = world.now.plus(Duration::from_secs(60));
        let (settings, owners, intents) = (ClusterSettings::default(), BTreeMap::new(), Intents::default());
        let (rules, now) = (RULES, world.now);
        let given =
            Given { name: "fleet", settings: &settings, rules, owners: &owners, intents: &intents, now };
        let run = answered(&world.state, &SourceAnswer::default(), &given);
        assert!(run.items.is_empty(), "nothing is missing, nothing is removed");
        told.extend(run.changes.iter().map(Change::name));
        world.state = run.state;
    }
    assert_eq!(told, ["discovery.shrink_held"], "once");
    // The oracle has seen none of these answers: the confirmed drop is checked by the clusters' own events.
    let intents = world.intents();
    world.clusters.absent =
        world.state.clusters.keys().map(|id| (id.clone(), (NOW, RULES.confirmations))).collect();
    world.run(Some(&SourceAnswer::default()), &intents);
    assert_eq!((world.removals, world.state.clusters.len()), (1_000, 0));
    world.run(source.answer(&Turn::Nothing).as_ref(), &Intents::default());
    assert_eq!((world.returns, world.state.clusters.len()), (1_000, 1_000));
}
