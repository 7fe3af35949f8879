# Configures the provisioning agent in this one process, since the module keeps the signed-in state in it (product facts
# 1.4). Secrets come on standard input and are never written anywhere.
# Input: {"module", "calls": ["cmdlet -parameter"], "tenant", "signIn", "proxy", "gmsa": {"name"}, {"createWithCredentialOf"} or null: it stays as it is,
# "note": {"key", "value", "begun"}: the last stands there while a registration was begun and has not ended well, "domains": [{"name", "preferredDomainControllers", "credential", "permissions"}], "secrets": [{"kind", "of", "user", "value"}]}.
# Output: a line {"step", "ok"} for each cmdlet, with {"names": ["domain"] or null, "text"} where the domains are read back, and {"domain",
# "there": it was before, null where that cannot be told and it was "refused", "mentioned": its name stood in the list before} where one is
# added, one {"where", "unread"} of secrets that were left, and at last {"done": true} or {"error": {"at", "kind", "message"}}.
function Secret($kind, $of) { $in.secrets | Where-Object { $_.kind -eq $kind -and $_.of -eq $of } | Select-Object -First 1 }
function Credential($secret) {
    $password = New-Object System.Security.SecureString
    foreach ($character in $secret.value.ToCharArray()) { $password.AppendChar($character) }
    New-Object System.Management.Automation.PSCredential($secret.user, $password)
}

# Where a secret was left: command lines of processes, and files that came into the temporary folders meanwhile. A process or a
# file that cannot be looked at is told as that.
function Find-Secret([DateTime]$since) {
    # As they are, and as JSON and XML have them.
    $values = @()
    foreach ($value in @($in.secrets | ForEach-Object { $_.value } | Where-Object { $_ })) {
        $json = $value | ConvertTo-Json
        $values += @($value, $json.Substring(1, $json.Length - 2), [Security.SecurityElement]::Escape($value))
    }
    $values = @($values | Select-Object -Unique)
    $where = @()
    $unread = 0
    foreach ($process in Get-CimInstance -ClassName 'Win32_Process') {
        # The system's own two processes have none.
        if ($null -eq $process.CommandLine) {
            if ($process.ProcessId -notin 0, 4) { $unread++ }
            continue
        }
        foreach ($value in $values) {
            if ($process.CommandLine.Contains($value)) { $where += "command line of $($process.Name)" }
        }
    }
    $folders = @([IO.Path]::GetTempPath(), "$env:SystemRoot\Temp")
    $folders = @($folders | ForEach-Object { $_.TrimEnd('\').ToLowerInvariant() } | Select-Object -Unique)
    $denied = @()
    $files = @(Get-ChildItem -Path $folders -Recurse -File -Force -ErrorAction SilentlyContinue -ErrorVariable 'denied')
    $unread += $denied.Count
    foreach ($file in $files) {
        if ($file.LastWriteTimeUtc -lt $since) { continue }
        try {
            if ($file.Length -gt 33554432) { throw 'too large' }
            $open = [IO.File]::Open($file.FullName, 'Open', 'Read', 'ReadWrite, Delete')
            try {
                $bytes = New-Object byte[] $file.Length
                $null = $open.Read($bytes, 0, $bytes.Length)
            } finally { $open.Dispose() }
            # As one byte for each sign, and as Windows writes text, wherever in the file it begins.
            $texts = @([Text.Encoding]::UTF8.GetString($bytes), [Text.Encoding]::Unicode.GetString($bytes))
            if ($bytes.Length -gt 1) { $texts += [Text.Encoding]::Unicode.GetString($bytes, 1, $bytes.Length - 1) }
            foreach ($text in $texts) {
                foreach ($value in $values) { if ($text.Contains($value)) { $where += $file.FullName } }
            }
        } catch { $unread++ }
    }
    @{ step = 'Find-Secret'; ok = $true; where = @($where | Select-Object -Unique); unread = $unread }
}

# What the module lists: as text, and the name of each domain where every row has it in a column that is named for that. What the rows
# look like is unverified: any other column or text may be a forest's. A list that comes whole is taken apart.
function Read-Domains {
    $rows = @(Get-AADCloudSyncDomains | ForEach-Object { $_ } | Where-Object { $_ })
    $names = @()
    foreach ($row in $rows) {
        $found = @($row.DomainName, $row.DomainFqdn | Where-Object { [string]$_ -match '^[\w-]+(\.[\w-]+)+$' } | Select-Object -First 1)
        if (-not $found.Count) {
            $names = $null
            break
        }
        $names += [string]$found[0]
    }
    @{ names = $names; text = ($rows | Out-String -Width 400) }
}

# A reason without secrets: a cmdlet may repeat its argument in what it says.
function Withheld($wrong) {
    $message = Reason $wrong
    foreach ($secret in $in.secrets) {
        if ($secret.value) { $message = $message.Replace($secret.value, '***') }
    }
    $message
}

# What cannot be looked for fails nothing: it is told.
function Say-Left {
    try { Say (Find-Secret $begun) } catch { Say @{ step = 'Find-Secret'; ok = $false; text = (Reason $_) } }
}

$begun = [DateTime]::UtcNow
$at = 'Import-Module'
try {
    # The cmdlets do not read the service's configuration file: this process alone goes through its proxy.
    # It signs in to that as the file has the service do, by the account that it runs as.
    if ($in.proxy) {
        $proxy = New-Object System.Net.WebProxy($in.proxy, $true)
        $proxy.UseDefaultCredentials = $true
        [System.Net.WebRequest]::DefaultWebProxy = $proxy
    }
    Import-Module $in.module
    Say @{ step = $at; ok = $true }
    # The product may have upgraded itself since its module was asked.
    $at = 'Get-Command'
    Assert-Calls $in.calls

    $at = 'Connect-AADCloudSyncAzureAD'
    if ($in.signIn -eq 'token') {
        $secret = Secret 'access-token' $in.tenant
        $null = Connect-AADCloudSyncAzureAD -AccessToken $secret.value -TenantId $in.tenant -UserPrincipalName $secret.user
    } else {
        $null = Connect-AADCloudSyncAzureAD -Credential (Credential (Secret 'tenant-credential' $in.tenant))
    }
    Say @{ step = $at; ok = $true }

    if ($in.gmsa) {
        $at = 'the note of what was begun'
        [Microsoft.Win32.Registry]::SetValue($in.note.key, $in.note.value, $in.note.begun, 'DWord')
        $at = 'Add-AADCloudSyncGMSA'
        if ($in.gmsa.name) {
            $null = Add-AADCloudSyncGMSA -CustomGMSAName $in.gmsa.name
        } else {
            $null = Add-AADCloudSyncGMSA -Credential (Credential (Secret 'domain-credential' $in.gmsa.createWithCredentialOf))
        }
        Say @{ step = $at; ok = $true }
    }
    # An earlier try may have added some of them, and so may an earlier registration whose account is set anew.
    try { $before = Read-Domains } catch { $before = @{ names = $null; text = '' } }

    foreach ($domain in $in.domains) {
        $credential = $null
        if ($domain.credential) { $credential = Credential (Secret 'domain-credential' $domain.name) }
        $at = 'Add-AADCloudSyncADDomain'
        $there = $before.names -contains $domain.name
        # A mention may be that of a forest or a suffix: of such a one the cmdlet is asked, and says that it is there already where it is.
        # In which words is unverified: refused in others, it may be there, and what is listed at the end is left to say so.
        $refused = $null
        $mentioned = $before.text -match ('(?i)(?<![\w.-])' + [regex]::Escape($domain.name) + '(?![\w.-])')
        if (-not $there) {
            $arguments = @{ DomainName = $domain.name }
            if ($credential) { $arguments.Credential = $credential }
            if ($domain.preferredDomainControllers.Count -gt 0) { $arguments.PreferredDomainControllers = [string[]]$domain.preferredDomainControllers }
            try { $null = Add-AADCloudSyncADDomain @arguments } catch {
                if (-not $mentioned -or $_.Exception -is [System.Management.Automation.ParameterBindingException]) { throw }
                $there = $true
                if ((Reason $_) -notmatch '(?i)\balready\b|(?<!not )\bexists\b') {
                    $there = $null
                    $refused = Withheld $_
                }
            }
        }
        Say @{ step = $at; ok = $true; domain = $domain.name; there = $there; mentioned = $mentioned; refused = $refused }
        $at = 'Set-AADCloudSyncPermissions'
        foreach ($type in $domain.permissions) {
            $null = Set-AADCloudSyncPermissions -PermissionType $type -TargetDomain $domain.name -TargetDomainCredential $credential
            Say @{ step = $at; ok = $true; domain = $domain.name; type = $type }
        }
    }

    # Read back for the record: a module that cannot list them (its output is unverified) fails nothing.
    $at = 'Get-AADCloudSyncDomains'
    try {
        $listed = Read-Domains
        Say @{ step = $at; ok = $true; names = $listed.names; text = $listed.text }
    }
    catch { Say @{ step = $at; ok = $false; text = (Reason $_) } }

    $at = 'Restart-Service'
    Restart-Service -Name AADConnectProvisioningAgent
    Say @{ step = $at; ok = $true }
    if ($in.gmsa) {
        $at = 'the note of what was begun'
        [Microsoft.Win32.Registry]::SetValue($in.note.key, $in.note.value, 0, 'DWord')
    }
    Say-Left
    Say @{ done = $true }
} catch {
    $kind = 'other'
    if ($_.Exception -is [System.Management.Automation.ParameterBindingException]) { $kind = 'parameter' }
    $message = Withheld $_
    Say-Left
    Say @{ error = @{ at = $at; kind = $kind; message = $message } }
}
