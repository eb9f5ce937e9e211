//! The demo: what is shown of a run, as values.
//!
//! ```text
//! scene.rs    what happened so far      frame.rs   the screen as lines, for a terminal of some size
//! summary.rs  the end of it             screen.rs  puts lines on a terminal
//! ```

pub mod frame;
pub mod scene;
pub mod screen;
pub mod summary;
