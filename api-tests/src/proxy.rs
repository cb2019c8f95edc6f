//! A proxy to a port of this machine that simulates faults of networks.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

/// Forwards connections. Closes them when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Mutex<Rules>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Rules {
    target: u16,
    /// Accepts new connections, but forwards nothing.
    silent: bool,
    /// Silently drops all data of connections before this number.
    lost_before: usize,
    accepted: usize,
    open: Vec<TcpStream>,
    ended: bool,
}

impl Proxy {
    /// A proxy of a port of this machine.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<State>::default();
        state.rules.lock().unwrap().target = target;
        let accepting = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut rules = accepting.rules.lock().unwrap();
                if rules.ended {
                    return;
                }
                rules.accepted += 1;
                rules.open.push(near.try_clone().unwrap());
                let (number, state) = (rules.accepted, accepting.clone());
                thread::spawn(move || state.serve(number, near));
            }
        });
        Self { port, state }
    }

    /// A proxy that accepts connections and is silent, until [`Self::speak`].
    pub fn silent(target: u16) -> Self {
        let proxy = Self::to(target);
        proxy.rules().silent = true;
        proxy
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.rules().accepted
    }

    /// Forwards connections from now on, also those that were silent.
    pub fn speak(&self) {
        self.rules().silent = false;
        self.state.changed.notify_all();
    }

    /// Sends new connections to another port. Open ones do not move.
    pub fn redirect(&self, target: u16) {
        self.rules().target = target;
    }

    /// From now on, silently drops all data of open connections, in both directions. New ones work.
    pub fn lose(&self) {
        let mut rules = self.rules();
        rules.lost_before = rules.accepted + 1;
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.state.rules.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut rules = self.rules();
        rules.ended = true;
        for stream in rules.open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
        drop(rules);
        self.state.changed.notify_all();
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl State {
    fn serve(&self, number: usize, near: TcpStream) {
        let rules = self.changed.wait_while(self.rules.lock().unwrap(), |rules| rules.silent && !rules.ended);
        let mut rules = rules.unwrap();
        let Some(far) = Some(rules.target).filter(|_| !rules.ended).and_then(|port| {
            // A port of this machine, so this takes no time.
            TcpStream::connect(("127.0.0.1", port)).ok()
        }) else {
            drop(near.shutdown(Shutdown::Both));
            return;
        };
        rules.open.push(far.try_clone().unwrap());
        drop(rules);
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| self.pass(number, &near, &far));
            self.pass(number, &far, &near);
        });
    }

    fn pass(&self, number: usize, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = [0; 16384];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(length @ 1..) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                _ => break,
            };
            let lost = number < self.rules.lock().unwrap().lost_before;
            if !lost && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // Even the end of a lost connection is not forwarded.
        let rules = self.rules.lock().unwrap();
        if number >= rules.lost_before || rules.ended {
            drop(to.shutdown(Shutdown::Both));
            drop(from.shutdown(Shutdown::Both));
        }
    }
}
