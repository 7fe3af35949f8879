# Reads the scheduler of Connect Sync. Changes nothing.
# Input: {}. Output: one line {"stagingModeEnabled", "syncCycleEnabled", "schedulerSuspended", "nextInMinutes", "everyMinutes"}, the
# first three true or false, the others numbers or null, or {"error": {...}}.
try {
    Import-ConnectModule
    $scheduler = Get-ADSyncScheduler
    foreach ($name in 'StagingModeEnabled', 'SyncCycleEnabled', 'SchedulerSuspended') {
        if ($scheduler.$name -isnot [bool]) { throw "the scheduler does not tell $name" }
    }
    # That no cycle is due leaves the mode as true as it is.
    $next = $null
    $every = $null
    try {
        $due = [int][Math]::Floor(([datetime]$scheduler.NextSyncCycleStartTimeInUTC - [datetime]::UtcNow).TotalMinutes)
        $every = [int][Math]::Ceiling(([timespan]$scheduler.CurrentlyEffectiveSyncCycleInterval).TotalMinutes)
        $next = $due
    } catch { $every = $null }
    Say @{
        stagingModeEnabled = $scheduler.StagingModeEnabled
        syncCycleEnabled = $scheduler.SyncCycleEnabled
        schedulerSuspended = $scheduler.SchedulerSuspended
        nextInMinutes = $next
        everyMinutes = $every
    }
} catch {
    Say @{ error = @{ at = 'Get-ADSyncScheduler'; message = (Reason $_.Exception) } }
}
