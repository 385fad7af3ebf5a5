//! What each part of a submission costs by itself: `cargo bench --bench parts`, and `cargo bench --bench parts -- seal` for
//! those whose name has that in it.
//!
//! For differences that the load bench cannot tell from the noise of its machine. One thread, in memory, through what the
//! library gives everybody; what a part leaves behind is dropped outside the time. A part is a file here, named for what
//! it does; to add a measurement, add a function to one.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod chain;
mod form;
mod normalise;
mod seal;
mod wire;

// The service's own: allocations are a part of most of these.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // Samples that are long for the clock, and so many that the fastest is one that nothing interrupted. Options may say otherwise.
    divan::Divan::default()
        .sample_size(100)
        .sample_count(1000)
        .config_with_args()
        .main();
}
