#[cfg(feature = "full")]
pub mod document;
pub mod gate;
#[cfg(feature = "full")]
pub mod image;
