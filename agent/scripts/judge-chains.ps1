# Judges certificates that hosts showed behind a proxy, as inspect-host judges those that it meets itself (probe PF29). Changes nothing.
# Input: {"chains": [{"host": "host", "chain": ["certificate as hexadecimal digits", ...]}]}, a host's own certificate first.
# Output: one line; "tls" is a list of {"host", "root", "public": true, false, or null where it cannot be told}, or {"why": "..."}.
Read-Part 'tls' {
    $leaves = @()
    foreach ($one in $in.chains) {
        $chain = New-Object Security.Cryptography.X509Certificates.X509Chain
        try {
            # Whether the hosts of revocation are reached is asked apart (PF28).
            $chain.ChainPolicy.RevocationMode = [Security.Cryptography.X509Certificates.X509RevocationMode]::NoCheck
            $shown = @()
            foreach ($digits in $one.chain) {
                $bytes = New-Object byte[] ($digits.Length / 2)
                for ($at = 0; $at -lt $bytes.Length; $at++) { $bytes[$at] = [Convert]::ToByte($digits.Substring(2 * $at, 2), 16) }
                $shown += [Security.Cryptography.X509Certificates.X509Certificate2]::new($bytes)
            }
            foreach ($more in $shown) { $null = $chain.ChainPolicy.ExtraStore.Add($more) }
            $sound = $chain.Build($shown[0])
            $root = $chain.ChainElements[$chain.ChainElements.Count - 1].Certificate
            $leaves += @{ host = $one.host; root = $root.Subject; public = (Test-Public $sound $root) }
        } catch {
            $leaves += @{ host = $one.host; why = (Reason $_) }
        } finally { $chain.Dispose() }
    }
    , $leaves
}
Say $out
