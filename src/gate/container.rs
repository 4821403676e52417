//! From a bundle to an [`AskedContainer`](super::message::AskedContainer).
