//! Capabilities: the daemon reads root's files and serves sockets that are already bound, for which
//! being root is enough. It keeps none.

use caps::CapSet;

/// Gives up every capability of this thread, and with it of every thread it starts, and the way to any
/// by running something else. What cannot be given up is said and lived with: a sandbox around the
/// daemon may have taken the right to do so already.
pub(super) fn drop_all() {
    if let Err(errno) = nix::sys::prctl::set_no_new_privs() {
        tracing::warn!("cannot set no_new_privs: {errno}");
    }
    for set in [CapSet::Bounding, CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted]
    {
        if let Err(error) = caps::clear(None, set) {
            tracing::debug!("cannot clear the {set:?} capability set: {error}");
        }
    }
}
