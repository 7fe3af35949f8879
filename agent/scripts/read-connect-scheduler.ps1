# Reads the scheduler of Connect Sync. Changes nothing.
# Input: {}. Output: one line {"stagingModeEnabled", "syncCycleEnabled", "schedulerSuspended"}, each true or false, or
# {"error": {...}}.
try {
    # By its path: a service that was started before the product was installed does not know the module by name.
    $module = Join-Path $env:ProgramFiles 'Microsoft Azure AD Sync\Bin\ADSync\ADSync.psd1'
    if (-not (Test-Path $module)) { $module = 'ADSync' }
    Import-Module $module
    $scheduler = Get-ADSyncScheduler
    foreach ($name in 'StagingModeEnabled', 'SyncCycleEnabled', 'SchedulerSuspended') {
        if ($scheduler.$name -isnot [bool]) { throw "the scheduler does not tell $name" }
    }
    Say @{
        stagingModeEnabled = $scheduler.StagingModeEnabled
        syncCycleEnabled = $scheduler.SyncCycleEnabled
        schedulerSuspended = $scheduler.SchedulerSuspended
    }
} catch {
    Say @{ error = @{ at = 'Get-ADSyncScheduler'; message = (Reason $_.Exception) } }
}
