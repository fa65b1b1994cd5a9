//! What the tests share: a sandbox contained in each way that this machine has, and targets to attack.
#![expect(dead_code, unreachable_pub, reason = "no test needs all of it")]
#![expect(clippy::unwrap_used, reason = "clippy's exception for tests leaves out what they share")]

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox::{Containment, NotRun, Sandbox};

/// The helper of these tests, or a copy where another user can execute it.
pub fn helper() -> PathBuf {
    std::env::var_os("SANDBOX_HELPER")
        .map_or_else(|| env!("CARGO_BIN_EXE_sandbox-helper").into(), PathBuf::from)
}

pub fn sandbox() -> Sandbox {
    Sandbox::with_helper(&helper()).unwrap()
}

/// The sandboxes of this machine: with namespaces where they are allowed, and without.
///
/// Which containments there must be is said by whoever runs the tests in a place without some:
/// `SANDBOX_WITHOUT=namespaces`.
pub fn each() -> Vec<Sandbox> {
    let without = std::env::var("SANDBOX_WITHOUT").unwrap_or_default();
    let all = [Containment::Namespaces, Containment::Reduced];
    all.into_iter()
        .filter_map(|it| match Sandbox::with_containment(&helper(), it) {
            Ok(sandbox) => Some(sandbox),
            Err(NotRun::Refused(_)) if it == Containment::Namespaces && without == "namespaces" => None,
            Err(error) => panic!("{it}: {error}"),
        })
        .collect()
}

/// What an attack aims at: nothing that matters, all of it watched.
pub struct Targets {
    pub folder: tempfile::TempDir,
    pub token: String,
    pub decoy: Child,
    tcp: TcpListener,
    udp: UdpSocket,
    named: UnixListener,
    abstracted: UnixDatagram,
}

impl Targets {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let token = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        // Only the sandbox keeps an attack from them.
        for path in [folder.path().to_owned(), folder.path().join("secret")] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            std::fs::set_permissions(path, mode).unwrap();
        }
        let decoy =
            Command::new("sleep").arg("1000").env("CANARY", &token).stdin(Stdio::null()).spawn().unwrap();
        let named = UnixListener::bind(folder.path().join("socket")).unwrap();
        let address = SocketAddr::from_abstract_name(format!("proofmark-{token}")).unwrap();
        let targets = Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            named,
            abstracted: UnixDatagram::bind_addr(&address).unwrap(),
            folder,
            token,
            decoy,
        };
        targets.tcp.set_nonblocking(true).unwrap();
        targets.udp.set_nonblocking(true).unwrap();
        targets.named.set_nonblocking(true).unwrap();
        targets.abstracted.set_nonblocking(true).unwrap();
        targets
    }

    /// What an attack is told.
    pub fn told(&self) -> sandbox::File {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let told = serde_json::json!({
            "token": self.token,
            "secret": path("secret"),
            "folder": self.folder.path().to_str().unwrap(),
            "socket": path("socket"),
            "abstract": format!("proofmark-{}", self.token),
            "tcp": self.tcp.local_addr().unwrap().port(),
            "udp": self.udp.local_addr().unwrap().port(),
            "decoy": self.decoy.id(),
            "harness": std::process::id(),
        });
        sandbox::File { name: "targets.json".to_owned(), bytes: told.to_string().into_bytes() }
    }

    /// Panics unless everything is as it was.
    #[track_caller]
    pub fn assert_untouched(&mut self) {
        let secret = self.folder.path().join("secret");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
        let names = std::fs::read_dir(self.folder.path()).unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<_> = names.map(|it| it.into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["secret", "socket"]);
        for folder in ["/tmp", "/var/tmp", "/dev/shm", "/", "/etc", "/usr/lib", "/run"] {
            assert!(!Path::new(folder).join(format!("written-{}", self.token)).exists(), "{folder}");
        }
        assert!(self.tcp.accept().is_err(), "someone connected");
        assert!(self.named.accept().is_err(), "someone connected");
        assert!(self.udp.recv(&mut [0; 8]).is_err(), "someone sent something");
        assert!(self.abstracted.recv(&mut [0; 8]).is_err(), "someone sent something");
        assert_eq!(self.decoy.try_wait().unwrap(), None, "the decoy was killed");
        let left = running(&self.token);
        assert!(left.is_empty(), "left running: {left:?}");
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        drop(self.decoy.kill());
        drop(self.decoy.wait());
    }
}

/// Command lines of running processes with this text in them.
pub fn running(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    lines.map(|it| String::from_utf8_lossy(&it).replace('\0', " ")).filter(|it| it.contains(text)).collect()
}

/// Threads of all processes.
pub fn tasks() -> u64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|it| std::fs::read_dir(it.path().join("task")).ok())
        .map(|it| it.count() as u64)
        .sum()
}
