//! From a YAML case to a report.
//!
//! | step | module |
//! |---|---|
//! | who may be asked | [`model`], [`lock`], [`weights`], [`availability`] |
//! | what is asked | [`case`](mod@case), [`dataset`], [`template`], [`generate`], [`trial`], [`lint`](mod@lint) |
//! | who answers | [`backend`], [`scripted`] |
//! | what came back, and when | [`response`] |
//! | how it is judged | [`grade`] |
//! | what was accepted, and what passes | [`golden`], [`gate`], [`bless`](mod@bless) |
//! | what is kept | [`store`] |
//! | one run over all of it | [`session`], [`settings`], [`machine`] |
//! | what it comes to | [`stats`], [`report`] |
//!
//! Under all of them: [`yaml`], a tree that knows where each node was written, [`diagnostic`], mistakes with
//! their place, and [`count`](mod@count), how many in a sentence.

pub mod availability;
pub mod backend;
pub mod bless;
pub mod case;
pub mod count;
pub mod dataset;
pub mod diagnostic;
mod explain;
pub mod gate;
pub mod generate;
pub mod golden;
pub mod grade;
pub mod lint;
pub mod lock;
pub mod machine;
pub mod model;
mod pool;
pub mod report;
pub mod response;
pub mod schema;
pub mod scripted;
pub mod session;
pub mod settings;
mod sqlite;
pub mod stats;
pub mod store;
pub mod template;
pub mod trial;
pub mod weights;
pub mod yaml;
