# Has the provisioning agent's own tools collect their logs into a file (product facts 1.9). It holds people's data: it lies in
# the agent's own folder, which `entrain-agent enroll` leaves to administrators, and leaves the server by nobody's hand but
# theirs. The two newest are kept.
# Input: {"tools": "folder of the module"}. Output: one line {"path", "bytes", "sha256"}, or {"error": {...}}.
$at = 'Import-Module'
$folder = $null
try {
    $own = Join-Path $env:ProgramData 'Entrain'
    if (-not (Test-Path $own)) { throw "$own is not there: nowhere else would the logs be guarded" }
    Import-Module $in.tools
    $at = 'Export-AADCloudSyncToolsLogs'
    Assert-Calls 'Export-AADCloudSyncToolsLogs -SkipVerboseTrace -OutputPath'
    $folder = Join-Path $own 'support'
    if (-not (Test-Path $folder)) { $null = New-Item -ItemType Directory -Path $folder }
    $begun = [DateTime]::UtcNow
    # Without the verbose trace, which would rewrite the service's configuration file and restart it. What the tools cannot read
    # on a server that is not well must not keep them from the rest.
    $ErrorActionPreference = 'Continue'
    try { $null = Export-AADCloudSyncToolsLogs -SkipVerboseTrace -OutputPath $folder } finally { $ErrorActionPreference = 'Stop' }
    $newest = Get-ChildItem -Path "$folder\*.zip" | Sort-Object -Property LastWriteTimeUtc | Select-Object -Last 1
    if (-not $newest -or $newest.LastWriteTimeUtc -lt $begun) { throw "no new archive is in $folder" }
    $digest = (Get-FileHash -Path $newest.FullName -Algorithm 'SHA256').Hash.ToLowerInvariant()
    Say @{ path = $newest.FullName; bytes = [long]$newest.Length; sha256 = $digest }
} catch {
    Say @{ error = @{ at = $at; message = (Reason $_) } }
} finally {
    if ($folder -and (Test-Path $folder)) {
        $kept = @(Get-ChildItem -Path "$folder\*.zip" | Sort-Object -Property LastWriteTimeUtc | Select-Object -Last 2)
        foreach ($other in Get-ChildItem -Path $folder) {
            if ($kept.FullName -notcontains $other.FullName) { Remove-Item -Path $other.FullName -Recurse -Force }
        }
    }
}
