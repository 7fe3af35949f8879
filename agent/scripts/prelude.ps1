# Comes before every script, in the same text: reads the parameters as JSON from standard input into $in, says that the
# script has started, and gives it Say, Reason, Read-Part, Assert-Calls, Import-ConnectModule,
# Test-Public and Get-WinHttpProxy.
# Everything that goes in and comes out is ASCII: Windows PowerShell 5.1 reads and writes a pipe in the console's code page.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    # Nothing of .NET may be called in this mode, so this is all that can be said.
    $mode = $ExecutionContext.SessionState.LanguageMode
    '{"started":true}'
    '{"languageMode":"' + $mode + '","error":{"at":"PowerShell","kind":"other","message":"the language mode is ' + $mode + '"}}'
    exit 0
}
[Console]::Out.WriteLine('{"started":true}')
# What cannot be read is not shown: secrets may be in it.
try { $in = [Console]::In.ReadToEnd() | ConvertFrom-Json }
catch {
    [Console]::Out.WriteLine('{"error":{"at":"PowerShell","kind":"other","message":"the parameters could not be read"}}')
    exit 0
}
function Say($value) {
    $json = $value | ConvertTo-Json -Compress -Depth 5
    [Console]::Out.WriteLine([regex]::Replace($json, '[^\x00-\x7f]', { param($sign) '\u{0:x4}' -f [int][char]$sign.Value }))
}
# An error with its causes: what wraps another often says only that something went wrong. Behind them stands its id, which is the same
# in every language; of what a script throws by itself that is the text.
function Reason($wrong) {
    $said = @()
    for ($one = $wrong.Exception; $one; $one = $one.InnerException) {
        if ($said -notcontains $one.Message) { $said += $one.Message }
    }
    $id = $wrong.FullyQualifiedErrorId
    if ($id -and $said -notcontains $id) { $id = " [$id]" } else { $id = '' }
    ($said -join ': ') + $id
}
# Reads a part of an answer into $out, or why it could not be read.
$out = @{}
function Read-Part([string]$name, [scriptblock]$read) {
    try { $script:out[$name] = & $read } catch { $script:out[$name] = @{ why = (Reason $_) } }
}
# Asks for each cmdlet that a script is about to call, as 'Cmdlet -Parameter -Parameter', before any of them is called: which cmdlets and
# parameters a version of a product's module has, it alone tells. Windows' own words for one that is missing are in its own language.
function Assert-Calls([string[]]$calls) {
    foreach ($call in $calls) {
        $name, $parameters = $call.Split(' ')
        $command = Get-Command -Name $name -ErrorAction SilentlyContinue
        if (-not $command) { throw "the module of this version has no cmdlet $name" }
        $takes = @($command.Parameters.Values | ForEach-Object { $_.Name; $_.Aliases })
        foreach ($one in $parameters) {
            if ($takes -notcontains $one.TrimStart('-')) { throw "$name of this version takes no $one" }
        }
    }
}
# The module of Connect Sync, by its path below the folder that every script of it is given: a service that was started before the
# product was installed does not know it by name.
# Beside it, what is about to be called of it.
function Import-ConnectModule([string[]]$calls) {
    $module = Join-Path $in.engine 'ADSync\ADSync.psd1'
    if (-not (Test-Path $module)) { $module = 'ADSync' }
    Import-Module $module
    Assert-Calls $calls
}
# Whether a chain that Windows takes ends at a public root: those of the public program are in AuthRoot, and one that the company put there
# is in Root. Somebody may have put a public one into Root as well, by hand or where a policy keeps the program's from coming by themselves,
# and then Windows brings it nowhere else: it is in the list of the program (EncodedCtl) that Windows keeps by thumbprint. Which root stands
# in no such list is not of the program; where it does, or where there is no list, it cannot be told.
function Test-Public([bool]$taken, $root) {
    if (-not $taken -or $root.Subject -ne $root.Issuer) { return $false }
    if (Test-Path "Cert:\LocalMachine\AuthRoot\$($root.Thumbprint)") { return $true }
    $key = 'HKLM:\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot'
    if ((Test-Path $key) -and (Get-Item -Path $key).GetValue('DisableRootAutoUpdate') -eq 1) { return $null }
    $key = 'HKLM:\SOFTWARE\Microsoft\SystemCertificates\AuthRoot\AutoUpdate'
    $list = if (Test-Path $key) { (Get-Item -Path $key).GetValue('EncodedCtl') }
    if (-not $list -or [BitConverter]::ToString($list).Replace('-', '').Contains($root.Thumbprint)) { return $null }
    $false
}
# The proxy that WinHTTP keeps for itself: flags at byte 8 (2: a proxy is named), the name's length at 12, the name from 16 on.
function Get-WinHttpProxy {
    $key = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections'
    $kept = (Get-Item -Path $key).GetValue('WinHttpSettings')
    if ($kept -and $kept.Length -gt 16 -and ($kept[8] -band 2)) {
        [Text.Encoding]::ASCII.GetString($kept, 16, [BitConverter]::ToInt32($kept, 12))
    }
}
