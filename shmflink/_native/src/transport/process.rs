//! What a child process must get from the kernel without a race.

use super::error::TransportError;

/// Asks the kernel to send `signal` to this process when the parent's thread that forked it ends. False if the parent
/// is already gone (its id is no longer `expected_parent_pid`): then the signal will not come, and the caller must exit
/// now.
pub fn set_parent_death_signal(signal: i32, expected_parent_pid: i32) -> Result<bool, TransportError> {
    // SAFETY: prctl with plain integers.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) } != 0 {
        return Err(TransportError::from_os("cannot set the parent-death signal"));
    }
    // The parent may have died between fork and prctl; a death after the prctl is signaled.
    // SAFETY: getppid cannot fail.
    Ok(unsafe { libc::getppid() } == expected_parent_pid)
}
