//! The machine that a result is from, as far as the system tells.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// A processor and its caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Who makes it: `Intel`, `AMD`, `Apple`, `ARM`, or `unknown`.
    pub make: String,
    /// Its name, as the system has it.
    pub model: String,
    /// Cores, as many as this process may use.
    pub cores: usize,
    /// Caches for data, from the innermost outwards; none where the system does not tell.
    pub caches: Vec<Cache>,
    /// Sets of vector instructions that our kernels can use, the widest last.
    pub vectors: Vec<&'static str>,
}

/// A cache for data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// 1 for the innermost.
    pub level: usize,
    /// How much it holds.
    pub bytes: usize,
}

impl Machine {
    /// The machine that this runs on.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(": ")?.1.trim().to_owned())
        };
        let model = field("model name").or_else(|| sysctl("machdep.cpu.brand_string"));
        let model = model.unwrap_or_else(|| "unknown".to_owned());
        let caches = match linux_caches() {
            caches if caches.is_empty() => macos_caches(),
            caches => caches,
        };
        Machine {
            make: make(&field("vendor_id").unwrap_or_default(), &model).to_owned(),
            model,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            caches,
            vectors: vectors(),
        }
    }

    /// Bytes of the outermost cache; `None` where the system does not tell.
    pub fn last_level(&self) -> Option<usize> {
        self.caches.last().map(|cache| cache.bytes)
    }

    /// What its results are filed under: the make in small letters.
    pub fn stem(&self) -> String {
        self.make.to_lowercase()
    }

    /// As it stands in the results.
    pub fn to_json(&self) -> Value {
        let caches = self.caches.iter();
        let caches: Vec<Value> = caches
            .map(|cache| json!({ "level": cache.level, "bytes": cache.bytes }))
            .collect();
        json!({
            "make": self.make,
            "model": self.model,
            "cores": self.cores,
            "caches": caches,
            "vectors": self.vectors,
        })
    }
}

fn make(vendor: &str, model: &str) -> &'static str {
    let said = format!("{vendor} {model}");
    let known = [
        ("Intel", "Intel"),
        ("AMD", "AMD"),
        ("Apple", "Apple"),
        ("ARM", "ARM"),
    ];
    let found = known.iter().find(|(word, _)| said.contains(word));
    match found {
        Some((_, make)) => make,
        None if cfg!(target_arch = "aarch64") => "ARM",
        None => "unknown",
    }
}

/// The sets that the attribute `vectorized` compiles kernels for, as far as they are here.
fn vectors() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut sets = vec!["SSE2"];
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push("AVX2");
        }
        if is_x86_feature_detected!("avx512f") {
            sets.push("AVX-512");
        }
        sets
    }
    #[cfg(target_arch = "aarch64")]
    {
        vec!["NEON"]
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Vec::new()
    }
}

/// As Linux describes those of the first core.
fn linux_caches() -> Vec<Cache> {
    let read = |index: usize, name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    };
    let cache = |index| {
        if read(index, "type")? == "Instruction" {
            return None;
        }
        let kib: usize = read(index, "size")?.strip_suffix('K')?.parse().ok()?;
        let level = read(index, "level")?.parse().ok()?;
        let bytes = kib << 10;
        Some(Cache { level, bytes })
    };
    (0..8).filter_map(cache).collect()
}

/// As macOS does.
fn macos_caches() -> Vec<Cache> {
    let size = |name: &str| sysctl(name)?.parse().ok();
    [(1, "hw.l1dcachesize"), (2, "hw.l2cachesize")]
        .into_iter()
        .filter_map(|(level, name)| size(name).map(|bytes| Cache { level, bytes }))
        .collect()
}

fn sysctl(name: &str) -> Option<String> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let output = Command::new("sysctl").args(["-n", name]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_make_is_told_by_vendor_or_name() {
        assert_eq!(make("GenuineIntel", "Intel(R) Xeon(R) Processor"), "Intel");
        assert_eq!(make("AuthenticAMD", "AMD EPYC"), "AMD");
        assert_eq!(make("", "Apple M3"), "Apple");
    }

    #[test]
    fn this_machine_has_a_core_and_caches_that_grow_outwards() {
        let here = Machine::here();
        assert!(here.cores >= 1);
        assert!(here.caches.is_sorted_by_key(|cache| cache.level));
        assert!(here.caches.is_sorted_by_key(|cache| cache.bytes));
    }
}
