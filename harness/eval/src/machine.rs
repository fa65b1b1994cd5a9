//! The machine: what it is, and what it spends.

use std::path::PathBuf;

use nvml_wrapper::Nvml;
use serde::{Deserialize, Serialize};

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The widest vector instructions: `avx512`, `avx2`, ….
    pub vectors: String,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The operating system.
    pub os: String,
    /// GPUs, by name.
    pub gpus: Vec<String>,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|it| it.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let flags = field("flags").unwrap_or_default();
        let has = |flag: &str| flags.split(' ').any(|it| it == flag);
        let vectors = match () {
            () if has("avx512f") => "avx512",
            () if has("avx2") => "avx2",
            () => std::env::consts::ARCH,
        };
        let gpus = Nvml::init().ok().map(|nvml| {
            let count = nvml.device_count().unwrap_or(0);
            (0..count).filter_map(|it| nvml.device_by_index(it).ok()?.name().ok()).collect()
        });
        Self {
            cpu: field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            vectors: vectors.to_owned(),
            memory: meminfo("MemTotal"),
            os: std::env::consts::OS.to_owned(),
            gpus: gpus.unwrap_or_default(),
        }
    }
}

/// Bytes of memory that a new program could use without swapping.
pub fn available_memory() -> Option<u64> {
    meminfo("MemAvailable")
}

fn meminfo(name: &str) -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/meminfo").ok()?, name)
}

/// The value of a line such as `VmHWM:  1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|it| it.strip_prefix(name).is_some_and(|it| it.starts_with(':')))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Begins a new measurement of [`peak_memory`].
///
/// Where the system does not allow it, the peak is that of the whole process.
pub fn reset_peak_memory() {
    // 5 resets the high-water mark: proc_pid_clear_refs(5).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most resident memory of this process since [`reset_peak_memory`], in bytes.
pub fn peak_memory() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The resident memory of this process, in bytes.
pub fn resident_memory() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS")
}

/// Counters of energy: GPUs by NVML, processors by RAPL.
#[derive(Debug)]
pub struct Meter {
    nvml: Option<Nvml>,
    rapl: Vec<PathBuf>,
}

/// Energy since some moment in the past.
#[derive(Clone, Debug, PartialEq)]
pub struct Energy {
    joules: Vec<(String, f64, f64)>,
}

impl Meter {
    /// Finds what can be measured here; often that is nothing.
    pub fn open() -> Self {
        let zone = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.ok()?.path();
            // `intel-rapl:0` is a package; `intel-rapl:0:0` is a part of it and would count twice.
            let name = path.file_name()?.to_str()?;
            (name.starts_with("intel-rapl:") && name.matches(':').count() == 1).then_some(path)
        };
        let zones = std::fs::read_dir("/sys/class/powercap").map(|it| it.filter_map(zone).collect());
        Self { nvml: Nvml::init().ok(), rapl: zones.unwrap_or_default() }
    }

    /// Reads the counters; `None` if there is none that can be read.
    pub fn read(&self) -> Option<Energy> {
        let mut joules = Vec::new();
        if let Some(nvml) = &self.nvml {
            for index in 0..nvml.device_count().unwrap_or(0) {
                let energy = nvml.device_by_index(index).and_then(|it| it.total_energy_consumption());
                if let Ok(millijoules) = energy {
                    joules.push((format!("GPU {index} (NVML)"), millijoules as f64 / 1e3, f64::INFINITY));
                }
            }
        }
        for zone in &self.rapl {
            let read = |name: &str| -> Option<f64> {
                std::fs::read_to_string(zone.join(name)).ok()?.trim().parse().ok()
            };
            if let Some(microjoules) = read("energy_uj") {
                let range = read("max_energy_range_uj").unwrap_or(f64::INFINITY);
                let name = std::fs::read_to_string(zone.join("name")).unwrap_or_default();
                joules.push((format!("CPU {} (RAPL)", name.trim()), microjoules / 1e6, range / 1e6));
            }
        }
        (!joules.is_empty()).then_some(Energy { joules })
    }
}

impl Energy {
    /// Joules from an earlier reading to this one, and what measured them. A counter may have begun anew once.
    pub fn since(&self, earlier: &Self) -> (f64, String) {
        let mut sum = 0.0;
        let mut names = Vec::new();
        for (name, now, range) in &self.joules {
            let Some((_, before, _)) = earlier.joules.iter().find(|(other, ..)| other == name) else {
                continue;
            };
            sum += if now >= before { now - before } else { now + range - before };
            names.push(name.as_str());
        }
        (sum, names.join(", "))
    }
}
