//! The handle of a running fleet: start it, change it, ask what is true of it, shut it down.

use std::array;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::answer::{Answer, Endpoint};
use crate::applied::{Applied, ChangeError};
use crate::change::Change;
use crate::discovery::{NodeEntries, Query, Settings};
use crate::ports::PortBook;
use crate::route::Target;
use crate::script::Script;
use crate::serve::{Gate, serve};
use crate::world::{Node, World, WorldConfig};

/// How agents are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// All on one port, by path: `http://127.0.0.1:PORT/<cluster>/<node>`. An agent that is gone closes the
    /// connection without an answer (HTTP/2: it resets the stream). Thousands of agents need one socket.
    #[default]
    OnePort,
    /// Each on a port of its own. An agent that is gone refuses connections, and returns at the same port.
    PortEach,
}

/// How a fleet is served.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// What the fleet consists of at the start.
    pub world: WorldConfig,
    /// Where discovery and the fleet's own endpoints listen, with [`Layout::OnePort`] agents too. Default
    /// `127.0.0.1:0`: this machine alone, any free port. An unspecified address is written as loopback in URLs.
    pub listen: SocketAddr,
    /// How agents are told apart.
    pub layout: Layout,
    /// Most clusters on a page of discovery. Default 100, at least 1.
    pub page_size: usize,
    /// How discovery writes nodes.
    pub node_entries: NodeEntries,
}

impl Default for FleetConfig {
    fn default() -> Self {
        FleetConfig {
            world: WorldConfig::default(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            layout: Layout::OnePort,
            page_size: 100,
            node_entries: NodeEntries::Objects,
        }
    }
}

/// Why a fleet can't start, or a change can't be applied.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The main port can't be listened on.
    #[error(
        "the fleet can't listen on {address}: {source}; choose another address, or port 0 for any free one"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// An agent's port can't be listened on. The world has changed all the same.
    #[error(
        "an agent of cluster `{cluster}` can't listen: {source}; is the limit of open files (ulimit -n) too low?"
    )]
    Agent {
        /// The cluster's id.
        cluster: String,
        /// What the system says.
        source: io::Error,
    },
    /// The change does not fit the world.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// What the tasks of a fleet share.
pub(crate) struct Shared {
    state: RwLock<State>,
    pub layout: Layout,
    /// `http://host:port` of the main port.
    base: String,
    ip: IpAddr,
    page_size: usize,
    node_entries: NodeEntries,
    runtime: Handle,
    /// True once the fleet stops. Every task holds a receiver.
    pub stop: watch::Sender<bool>,
    /// The number of changes so far.
    pub changes: watch::Sender<u64>,
    pub requests: [AtomicU64; Endpoint::COUNT],
    pub connections: AtomicU64,
}

/// What is true now: held for as long as one answer or one change takes, never across a wait.
pub(crate) struct State {
    pub world: World,
    /// With [`Layout::PortEach`].
    ports: Option<PortBook>,
}

impl Shared {
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What discovery answers now.
    pub fn discover(&self, query: &Query) -> Answer {
        let state = self.read();
        let address = |cluster: &str, id: &str, node: &Node| self.address(&state, cluster, id, node);
        let settings = Settings { page_size: self.page_size, entries: self.node_entries, address: &address };
        state.world.discover(query, &settings)
    }

    fn address(&self, state: &State, cluster: &str, id: &str, node: &Node) -> String {
        match (&state.ports, node.moves) {
            (Some(ports), _) => {
                // Port 0, where nothing listens, for an agent that could not get one.
                let port = ports.port(cluster, id).unwrap_or(0);
                format!("http://{}", SocketAddr::new(self.ip, port))
            }
            (None, 0) => format!("{}/{cluster}/{id}", self.base),
            (None, moves) => format!("{}/{cluster}/{id}~{moves}", self.base),
        }
    }

    /// What is true of the fleet, as `GET /fleet` tells it.
    pub fn truth(&self) -> Value {
        let state = self.read();
        let mut clusters = json!(state.world.clusters());
        for (id, cluster) in state.world.clusters() {
            for (node_id, node) in &cluster.nodes {
                clusters[id]["nodes"][node_id]["address"] = self.address(&state, id, node_id, node).into();
            }
        }
        json!({
            "changes": *self.changes.borrow(),
            "clusters": clusters,
            "connections": self.connections.load(Ordering::Relaxed),
            "discovery": state.world.discovery_fault(),
            "requests": self.counts(),
        })
    }

    fn counts(&self) -> BTreeMap<Endpoint, u64> {
        Endpoint::ALL
            .into_iter()
            .zip(self.requests.iter().map(|count| count.load(Ordering::Relaxed)))
            .collect()
    }

    pub fn apply(self: &Arc<Self>, change: Change) -> Result<Applied, FleetError> {
        self.apply_drawn(|_| change)
    }

    /// Applies the change that `draw` makes of the world as it is.
    fn apply_drawn(self: &Arc<Self>, draw: impl FnOnce(&World) -> Change) -> Result<Applied, FleetError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let change = draw(&state.world);
        let applied = state.world.apply(change)?;
        let followed = match applied.change.cluster() {
            Some(id) => self.follow(&mut state, id),
            None => Ok(()),
        };
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
        followed.map(|()| applied)
    }

    /// Makes the listeners of a cluster as the world says.
    fn follow(self: &Arc<Self>, state: &mut State, id: &str) -> Result<(), FleetError> {
        let State { world, ports } = state;
        let Some(ports) = ports else { return Ok(()) };
        let _runtime = self.runtime.enter();
        ports
            .follow(self, id, world.cluster(id))
            .map_err(|source| FleetError::Agent { cluster: id.to_owned(), source })
    }
}

/// A running fleet. It ends when this is dropped, or orderly with [`Fleet::shutdown`].
pub struct Fleet {
    shared: Arc<Shared>,
    _main: watch::Sender<()>,
}

impl Fleet {
    /// Starts the fleet: when this returns, discovery and all agents answer.
    ///
    /// # Errors
    /// [`FleetError::Listen`] or [`FleetError::Agent`] when a port can't be had.
    pub async fn start(config: FleetConfig) -> Result<Fleet, FleetError> {
        let address = config.listen;
        let failed = |source| FleetError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let ip = match bound.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        };
        let ports = (config.layout == Layout::PortEach).then(|| PortBook::new(bound.ip()));
        let shared = Arc::new(Shared {
            state: RwLock::new(State { world: World::new(config.world), ports }),
            layout: config.layout,
            base: format!("http://{}", SocketAddr::new(ip, bound.port())),
            ip,
            page_size: config.page_size,
            node_entries: config.node_entries,
            runtime: Handle::current(),
            stop: watch::Sender::new(false),
            changes: watch::Sender::new(0),
            requests: array::from_fn(|_| AtomicU64::new(0)),
            connections: AtomicU64::new(0),
        });
        let (main, closed) = watch::channel(());
        tokio::spawn(serve(shared.clone(), Gate::new(listener), Arc::new(Target::Main), closed));
        let fleet = Fleet { shared, _main: main };
        {
            let mut state = fleet.shared.state.write().unwrap_or_else(PoisonError::into_inner);
            let ids: Vec<String> = state.world.clusters().keys().cloned().collect();
            ids.iter().try_for_each(|id| fleet.shared.follow(&mut state, id))?;
        }
        Ok(fleet)
    }

    /// `http://host:port` of discovery and the fleet's own endpoints.
    pub fn base_url(&self) -> &str {
        &self.shared.base
    }

    /// Where discovery answers `POST` (with pages) and `GET` (without).
    pub fn discovery_url(&self) -> String {
        format!("{}/clusters", self.shared.base)
    }

    /// The base URL of a node's agent, as discovery gives it; `None` for a node that is not in the fleet.
    pub fn agent_url(&self, cluster: &str, node: &str) -> Option<String> {
        let state = self.shared.read();
        let known = state.world.node(cluster, node)?;
        Some(self.shared.address(&state, cluster, node, known))
    }

    /// Applies a change. When this returns it is true of every request that begins.
    ///
    /// # Errors
    /// [`FleetError::Change`] when it does not fit the world, [`FleetError::Agent`] when an agent gets no port.
    pub fn apply(&self, change: Change) -> Result<Applied, FleetError> {
        self.shared.apply(change)
    }

    /// Looks at what is true now. Requests are answered meanwhile, changes wait: don't apply one in here.
    pub fn with_world<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.shared.read().world)
    }

    /// Begins to change the fleet at random ([`World::random_change`]), one change after each pause. Pauses are
    /// random too: `mean` on average, at most four times as long, at least a millisecond. The same seed gives
    /// the same changes, if nothing else changes the fleet.
    pub fn start_changes(&self, seed: u64, mean: Duration) -> Changes {
        let mut rng = StdRng::seed_from_u64(seed);
        self.change_with(move |shared, told| async move {
            loop {
                let pause = -(1.0 - rng.random::<f64>()).ln();
                let pause = mean.mul_f64(pause.min(4.0)).max(Duration::from_millis(1));
                tokio::time::sleep(pause).await;
                if told.send(shared.apply_drawn(|world| world.random_change(&mut rng))).is_err() {
                    return;
                }
            }
        })
    }

    /// Begins to play a script. A step that can't be applied is told, and the next ones follow.
    pub fn play(&self, script: Script) -> Changes {
        self.change_with(move |shared, told| async move {
            let start = Instant::now();
            for step in script.steps {
                tokio::time::sleep_until(start + step.at).await;
                if told.send(shared.apply(step.change)).is_err() {
                    return;
                }
            }
        })
    }

    fn change_with<F>(&self, work: impl FnOnce(Arc<Shared>, Told) -> F) -> Changes
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (told, applied) = mpsc::unbounded_channel();
        let mut stop = self.shared.stop.subscribe();
        let work = work(self.shared.clone(), told);
        let task = self.shared.runtime.spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        Changes { applied, task }
    }

    /// How many requests there were so far for each endpoint, also those that hang or were closed.
    pub fn requests(&self) -> BTreeMap<Endpoint, u64> {
        self.shared.counts()
    }

    /// How many connections were accepted so far, by discovery and agents together.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Stops the fleet: closes listeners and connections, and waits until all tasks have ended.
    pub async fn shutdown(self) {
        self.stop();
        self.shared.stop.closed().await;
    }

    fn stop(&self) {
        self.shared.stop.send_replace(true);
        if let Some(ports) = &mut self.shared.state.write().unwrap_or_else(PoisonError::into_inner).ports {
            ports.clear();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop();
    }
}

type Told = mpsc::UnboundedSender<Result<Applied, FleetError>>;

/// Changes that are being applied, by [`Fleet::start_changes`] or [`Fleet::play`]. Dropping it ends them.
///
/// What is not taken waits in memory: whoever does not look at the changes of a fast fleet takes them all the same.
pub struct Changes {
    applied: mpsc::UnboundedReceiver<Result<Applied, FleetError>>,
    task: JoinHandle<()>,
}

impl Changes {
    /// Waits for the next change that was applied, or could not be; `None` after the last one of a script and once
    /// the fleet has stopped.
    pub async fn next(&mut self) -> Option<Result<Applied, FleetError>> {
        self.applied.recv().await
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}
