# Finds the domain controllers of a domain by DNS (probe PF22). Changes nothing.
# Input: {"domain": "corp.contoso.com"}. Output: one line {"hosts": [...]} or {"error": {...}}.
$ErrorActionPreference = 'Stop'
$in = [Console]::In.ReadToEnd() | ConvertFrom-Json
[Console]::Out.WriteLine('{"started":true}')
try {
    $records = Resolve-DnsName -Name "_ldap._tcp.dc._msdcs.$($in.domain)" -Type SRV
    $hosts = @($records | Where-Object { $_.NameTarget } | ForEach-Object { $_.NameTarget })
    [Console]::Out.WriteLine((@{ hosts = $hosts } | ConvertTo-Json -Compress))
} catch {
    [Console]::Out.WriteLine((@{ error = @{ at = 'Resolve-DnsName'; message = $_.Exception.Message } } | ConvertTo-Json -Compress))
}
