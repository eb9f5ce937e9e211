//! A port for each agent: listeners that follow the world.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpSocket;
use tokio::sync::watch;

use crate::fleet::Shared;
use crate::route::Target;
use crate::serve::{Gate, serve};
use crate::world::{AgentState, Cluster};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The listeners of all agents, by the ids of cluster and node.
pub(crate) struct PortBook {
    ip: IpAddr,
    slots: BTreeMap<String, BTreeMap<String, Slot>>,
}

/// The port of one agent. It keeps the port while the agent is gone.
struct Slot {
    moves: u32,
    port: u16,
    /// The agent listens.
    open: Option<Open>,
    /// The agent is gone: a socket that is bound and does not listen, so that connections are refused and nobody
    /// else gets the port.
    reserved: Option<TcpSocket>,
}

/// A listener and its connections: all end when it is dropped.
struct Open {
    gate: Arc<Gate>,
    _closed: watch::Sender<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gate.close();
    }
}

impl PortBook {
    pub fn new(ip: IpAddr) -> Self {
        PortBook { ip, slots: BTreeMap::new() }
    }

    /// The port of a node's agent, once it had one.
    pub fn port(&self, cluster: &str, node: &str) -> Option<u16> {
        Some(self.slots.get(cluster)?.get(node)?.port)
    }

    /// Opens and closes listeners until they are as the cluster is; `None` closes all of them for good.
    /// Must run within the runtime.
    pub fn follow(&mut self, shared: &Arc<Shared>, id: &str, cluster: Option<&Cluster>) -> io::Result<()> {
        let Some(cluster) = cluster else {
            self.slots.remove(id);
            return Ok(());
        };
        let slots = self.slots.entry(id.to_owned()).or_default();
        // A node that moved gives its port up and gets another below.
        slots.retain(|node_id, slot| cluster.nodes.get(node_id).is_some_and(|node| node.moves == slot.moves));
        for (node_id, node) in &cluster.nodes {
            if !slots.contains_key(node_id) {
                slots.insert(node_id.clone(), Slot::new(self.ip, node.moves)?);
            }
            let Some(slot) = slots.get_mut(node_id) else { continue };
            match (node.agent, &slot.open) {
                (AgentState::Gone, Some(_)) => slot.close(self.ip),
                (AgentState::Up | AgentState::Hanging, None) => slot.open(shared, self.ip, id, node_id)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Closes everything.
    pub fn clear(&mut self) {
        self.slots.clear();
    }
}

impl Slot {
    fn new(ip: IpAddr, moves: u32) -> io::Result<Slot> {
        let socket = bind(ip, 0)?;
        Ok(Slot { moves, port: socket.local_addr()?.port(), open: None, reserved: Some(socket) })
    }

    fn open(&mut self, shared: &Arc<Shared>, ip: IpAddr, cluster: &str, node: &str) -> io::Result<()> {
        let socket = match self.reserved.take() {
            Some(socket) => socket,
            None => bind(ip, self.port)?,
        };
        let gate = Gate::new(socket.listen(BACKLOG)?);
        let target = Target::Agent { cluster: cluster.into(), node: node.into(), moves: self.moves };
        let (closed, watch) = watch::channel(());
        tokio::spawn(serve(shared.clone(), gate.clone(), Arc::new(target), watch));
        self.open = Some(Open { gate, _closed: closed });
        Ok(())
    }

    fn close(&mut self, ip: IpAddr) {
        self.open = None;
        // If this fails, opening binds anew and tells why it can't.
        self.reserved = bind(ip, self.port).ok();
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<TcpSocket> {
    let socket = match ip {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections that were closed from here linger on the port; they must not keep it.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(ip, port))?;
    Ok(socket)
}
