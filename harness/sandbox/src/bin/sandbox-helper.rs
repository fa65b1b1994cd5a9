//! The helper as an executable of its own, for tests whose `main` is not theirs.

fn main() {
    sandbox::child();
}
