//! An application, as far as anybody sees it from outside: it writes numbered rows to wherever the name leads, and remembers
//! which were acknowledged, when, and by whom. Nothing of Lifeboat is in it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lifeboat::clock;
use tokio_postgres::{Client, NoTls};

/// How long a commit may take before the application gives up and connects anew.
const COMMIT: Duration = Duration::from_secs(1);
/// Between two commits, and between two tries to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// One acknowledged row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number.
    pub n: i64,
    /// When its commit came back.
    pub at: DateTime<Utc>,
    /// The server that took it.
    pub port: u16,
}

/// Where an application writes.
#[derive(Clone, Debug)]
pub enum Goes {
    /// To whom a resolver says, at that server's port.
    ByName {
        /// The resolver.
        resolver: SocketAddr,
        /// The name.
        name: &'static str,
        /// The port behind each address.
        ports: Vec<(Ipv4Addr, u16)>,
    },
    /// Always there: it never looks the name up again.
    Always(u16),
}

/// An application that writes until this is dropped.
pub struct App {
    rows: Arc<Mutex<Vec<Row>>>,
    stop: Arc<AtomicBool>,
    pause: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl App {
    /// Starts one that counts its rows from `first`.
    pub fn start(goes: Goes, first: i64) -> Self {
        let (rows, stop, pause) = (Arc::<Mutex<Vec<Row>>>::default(), Arc::default(), Arc::default());
        let (into, stopped, paused) = (Arc::clone(&rows), Arc::clone(&stop), Arc::clone(&pause));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(write(&goes, first, &into, &stopped, &paused));
        });
        Self { rows, stop, pause, thread: Some(thread) }
    }

    /// The rows that were acknowledged so far.
    pub fn rows(&self) -> Vec<Row> {
        self.rows.lock().unwrap().clone()
    }

    /// The rows that one server acknowledged.
    pub fn rows_at(&self, port: u16) -> Vec<Row> {
        self.rows().into_iter().filter(|r| r.port == port).collect()
    }

    /// From now on it writes nothing; what is on its way is not waited for.
    pub fn rest(&self) {
        self.pause.store(true, Ordering::SeqCst);
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn write(goes: &Goes, first: i64, rows: &Mutex<Vec<Row>>, stop: &AtomicBool, pause: &AtomicBool) {
    let mut n = first;
    let mut session: Option<(Client, u16)> = None;
    while !stop.load(Ordering::SeqCst) {
        tokio::time::sleep(PAUSE).await;
        if pause.load(Ordering::SeqCst) {
            continue;
        }
        if session.is_none() {
            session = connect(goes).await;
        }
        let Some((client, port)) = &session else { continue };
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&n];
        let insert = client.execute("INSERT INTO orders (n) VALUES ($1)", &values);
        let port = *port;
        match tokio::time::timeout(COMMIT, insert).await {
            Ok(Ok(_)) => rows.lock().unwrap().push(Row { n, at: clock::now().wall, port }),
            // Refused, cut off, or not answered: it may be there or not, and its number is not used again.
            Ok(Err(_)) | Err(_) => session = None,
        }
        n += 1;
    }
}

async fn connect(goes: &Goes) -> Option<(Client, u16)> {
    let port = match goes {
        Goes::Always(port) => *port,
        Goes::ByName { resolver, name, ports } => {
            let address = resolve(*resolver, name)?;
            ports.iter().find(|(a, _)| *a == address)?.1
        }
    };
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("shop").password("shop").dbname("postgres");
    let (client, connection) = tokio::time::timeout(COMMIT, config.connect(NoTls)).await.ok()?.ok()?;
    tokio::spawn(connection);
    Some((client, port))
}

/// The address of a name: one question by UDP, and the last record of the answer.
fn resolve(resolver: SocketAddr, name: &str) -> Option<Ipv4Addr> {
    let mut question = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).ok()?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    socket.send_to(&question, resolver).ok()?;
    let mut answer = [0; 512];
    let (n, _) = socket.recv_from(&mut answer).ok()?;
    let answered = n > question.len() && answer[..2] == [7, 7] && answer[7] > 0;
    let last: [u8; 4] = answer.get(n.checked_sub(4)?..n)?.try_into().ok()?;
    answered.then(|| Ipv4Addr::from(last))
}
