# Reads which group policies set what a preflight reads, as this computer's resultant set of policy tells it (probes PF12 to PF18, PF33
# to PF36, PF38, PF52, SEC1, SEC3). Preferences of a policy are not told there: Windows keeps the files of those that it applied. Changes nothing.
# Input: {"gmsa": "name$" or null}.
# Output: one line; each part is there, or {"why": "..."}. What was not read is never told as if it were nothing.
$script:names = @{}
# Of several policies that set the same, the one that counts comes first.
function Read-Policy([string]$class) {
    Get-CimInstance -Namespace 'root\rsop\computer' -ClassName $class | Sort-Object -Property 'precedence'
}
# A server of a domain has a resultant set of policy with at least one policy in it.
function Read-Names {
    if ($script:names.Count) { return }
    foreach ($one in @(Read-Policy 'RSOP_GPO')) {
        $script:names[[string]$one.Id] = [string]$one.Name
        if ($one.GuidName) { $script:names[[string]$one.GuidName] = [string]$one.Name }
    }
    if (-not $script:names.Count) { throw 'no resultant set of policy is recorded' }
}
function Get-PolicyName([string]$id) {
    if ($script:names[$id]) { $script:names[$id] } else { $id }
}
function New-Row([string]$at, [string]$value, [string]$id) {
    @{ at = $at; value = $value; policy = (Get-PolicyName $id); local = $id -eq 'LocalGPO' }
}
Read-Part 'values' {
    Read-Names
    $rows = @()
    $below = @{}
    foreach ($one in @(Read-Policy 'RSOP_RegistryPolicySetting')) {
        $at = [string]$one.RegistryKey
        if ($at -match '(?i)^(.*\\Windows\\(SrpV2|DeviceGuard))(\\|$)') {
            # Its rules may be many: that there are some is enough.
            if (-not $below.ContainsKey($Matches[1])) {
                $below[$Matches[1]] = $true
                $rows += New-Row $Matches[1] '' $one.GPOID
            }
        } elseif ($at -match '(?i)\\SCHANNEL\\|\\\.NETFramework\\|\\Windows\\PowerShell(\\|$)|\\Lsa\\|\\Kerberos\\|\\Active Setup\\Installed Components\\') {
            $rows += New-Row $at $one.ValueName $one.GPOID
        }
    }
    foreach ($one in @(Read-Policy 'RSOP_SystemService')) { $rows += New-Row $one.Service '' $one.GPOID }
    , $rows
}
Read-Part 'options' {
    # Security options: the value's name ends the path.
    Read-Names
    $rows = @()
    foreach ($one in @(Read-Policy 'RSOP_RegistryValue')) {
        $path = [string]$one.Path
        $end = $path.LastIndexOf('\')
        if ($end -gt 0) { $rows += New-Row $path.Substring(0, $end) $path.Substring($end + 1) $one.GPOID }
    }
    , $rows
}
Read-Part 'preferences' {
    # Items that are switched off set nothing. One that is aimed at some computers, itself or by a folder of items, is told with that:
    # whether this is one of them is not judged.
    function Read-Items([string]$folder, [string]$file, [string]$item) {
        $path = Join-Path $folder "Machine\Preferences\$file"
        if (-not (Test-Path $path)) { return }
        $text = New-Object Xml.XmlDocument
        $text.XmlResolver = $null
        $text.Load($path)
        $text.SelectNodes("//$item[not(ancestor-or-self::*[@disabled='1'])]/Properties")
    }
    function New-PreferenceRow([string]$at, [string]$value, [string]$id, $properties) {
        $row = New-Row $at $value $id
        $row.aimed = $null -ne $properties.SelectSingleNode('ancestor::*/Filters/*[not(self::FilterRunOnce)]')
        $row
    }
    # Without its name a policy is told by its id.
    try { Read-Names } catch { $script:names = @{} }
    $rows = @()
    $history = "$env:ProgramData\Microsoft\Group Policy\History"
    $folders = @()
    if (Test-Path $history) { $folders = @(Get-ChildItem -Path $history -Force | Where-Object { $_.PSIsContainer }) }
    foreach ($folder in $folders) {
        foreach ($one in @(Read-Items $folder.FullName 'Registry\Registry.xml' 'Registry')) {
            # A name that is empty is of a whole key, but where the key's own default value is meant. One that is only made sets nothing.
            $key, $name = $one.GetAttribute('key'), $one.GetAttribute('name')
            $whole = -not $name -and $one.GetAttribute('default') -ne '1' -and 'D', 'R' -contains $one.GetAttribute('action')
            $near = $name -and $key -match '(?i)\\SCHANNEL\\|\\\.NETFramework\\|\\Windows\\PowerShell(\\|$)|\\Lsa(\\|$)|\\Kerberos\\|\\Active Setup\\Installed Components\\'
            if ($one.GetAttribute('hive') -eq 'HKEY_LOCAL_MACHINE' -and ($whole -or $near)) { $rows += New-PreferenceRow $key $name $folder.Name $one }
        }
        foreach ($one in @(Read-Items $folder.FullName 'Services\Services.xml' 'NTService')) {
            if ($one.GetAttribute('startupType') -ne 'NOCHANGE') { $rows += New-PreferenceRow $one.GetAttribute('serviceName') '' $folder.Name $one }
        }
    }
    , $rows
}
Read-Part 'logonRight' {
    $file = [IO.Path]::GetTempFileName()
    try {
        $null = & "$env:SystemRoot\System32\secedit.exe" /export /areas USER_RIGHTS /cfg $file /quiet
        if ($LASTEXITCODE -ne 0) { throw "secedit ended with $LASTEXITCODE" }
        $rows = @(Get-Content -Path $file)
    } finally { Remove-Item -Path $file -Force }
    if ($rows -notcontains '[Privilege Rights]') { throw 'secedit exported no rights' }
    $row = $rows | Where-Object { $_ -like 'SeServiceLogonRight*' } | Select-Object -First 1
    $holders = @()
    if ($row) { $holders = @($row.Split('=')[1].Split(',') | ForEach-Object { $_.Trim().TrimStart('*') }) }
    Read-Names
    $set = Read-Policy 'RSOP_UserPrivilegeRight' |
        Where-Object { $_.UserRight -eq 'SeServiceLogonRight' } | Select-Object -First 1
    $policy = ''
    if ($set) { $policy = Get-PolicyName $set.GPOID }
    $gmsa = ''
    if ($policy -and $in.gmsa) {
        $account = New-Object Security.Principal.NTAccount($env:USERDOMAIN, $in.gmsa)
        # Not made yet, or not found just now: nobody of that name holds the right, and the rest is told all the same.
        try { $gmsa = $account.Translate([Security.Principal.SecurityIdentifier]).Value } catch { $gmsa = '' }
    }
    @{ policy = $policy; holders = $holders; gmsa = $gmsa; local = $set.GPOID -eq 'LocalGPO' }
}
Say $out
