//! Availability: which models can be asked on this machine, and why the others cannot.

use crate::lock::Lock;
use crate::machine::available_memory;
use crate::model::{BackendKind, Model, Models};
use crate::session::Availability;
use crate::weights::{self, Cache, NoWeights, Weights, bytes};

/// Whether an engine can read a model's files; the error is a reason for people. Costs a look at their headers.
pub type Supports = dyn Fn(&Model, &Weights) -> Result<(), String>;

/// Looks at every model: are its files there, can they be read, does it fit?
pub fn look(models: &Models, lock: &Lock, cache: &Cache, supports: &Supports) -> Vec<Availability> {
    let available = available_memory();
    models.models.iter().map(|model| look_at(model, lock, cache, available, supports)).collect()
}

fn look_at(
    model: &Model,
    lock: &Lock,
    cache: &Cache,
    available: Option<u64>,
    supports: &Supports,
) -> Availability {
    let too_large = match (weights::memory_needed(model), available) {
        (Some(needed), Some(available)) if needed > available => {
            Some(format!("needs {} of memory, {} are free here", bytes(needed), bytes(available)))
        }
        _ => None,
    };
    let weights = match weights::locate(model, lock, cache) {
        Ok(weights) => weights,
        Err(missing @ (NoWeights::NotFetched(..) | NoWeights::Unpublished(_))) => {
            let also = too_large.map(|it| format!("; {it}")).unwrap_or_default();
            return Availability::Skipped(format!("{missing}{also}"));
        }
        Err(wrong) => return Availability::Wrong(wrong.to_string()),
    };
    if model.backend == BackendKind::Server {
        return Availability::Skipped("its backend `server` is not part of this build".to_owned());
    }
    if let Some(reason) = too_large {
        return Availability::Skipped(reason);
    }
    match supports(model, &weights) {
        Ok(()) => Availability::Ready(weights),
        Err(reason) => Availability::Skipped(reason),
    }
}
