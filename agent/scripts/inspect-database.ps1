# Asks a SQL Server about itself and one database (probe PF71), signed in as the account that the agent runs as. Changes nothing,
# and reads no row of a table of that database: the engine keeps what opens its accounts there.
# Input: {"server": "host", "host\\instance", with ",port" behind either, "database": "name"}. Both reach the server as values of
# the connection and of a parameter, never as text of a statement.
# Output: one line; each part is there, or {"why": "..."}.

function Open-Database([string]$name) {
    $keys = [Data.SqlClient.SqlConnectionStringBuilder]::new()
    # The engine speaks TCP alone.
    $keys['Data Source'] = "tcp:$($in.server)"
    $keys['Initial Catalog'] = $name
    $keys['Integrated Security'] = $true
    # Most servers have a certificate that nobody vouches for. Nothing secret goes this way, and what comes is no order.
    $keys['Encrypt'] = $true
    $keys['TrustServerCertificate'] = $true
    $keys['Connect Timeout'] = 20
    $keys['Pooling'] = $false
    $keys['Application Name'] = 'Entrain'
    $connection = [Data.SqlClient.SqlConnection]::new($keys.ToString())
    $connection.Open()
    $connection
}
function Read-Row($connection, [string]$statement) {
    $command = $connection.CreateCommand()
    $command.CommandText = $statement
    $command.CommandTimeout = 30
    [void]$command.Parameters.AddWithValue('@name', [string]$in.database)
    $reader = $command.ExecuteReader()
    try {
        if (-not $reader.Read()) { return }
        $row = @{}
        for ($at = 0; $at -lt $reader.FieldCount; $at++) {
            $row[$reader.GetName($at)] = if ($reader.IsDBNull($at)) { $null } else { $reader.GetValue($at) }
        }
        $row
    } finally { $reader.Dispose() }
}
$connection = $null
try {
    $connection = Open-Database 'master'
    $out.reached = @{ ok = $true; number = 0; text = '' }
} catch {
    $number = $null
    for ($one = $_.Exception; $one; $one = $one.InnerException) {
        if ($one -is [Data.SqlClient.SqlException]) { $number = [int]$one.Number }
    }
    $out.reached = @{ ok = $false; number = $number; text = (Reason $_) }
}
if ($connection) {
    try {
        Read-Part 'server' {
            Read-Row $connection "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('Collation')) AS collation, CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version, CONVERT(int, SERVERPROPERTY('EngineEdition')) AS edition"
        }
        Read-Part 'database' {
            $seen = Read-Row $connection "SELECT collation_name AS collation, state_desc AS state, CONVERT(int, HAS_DBACCESS(name)) AS access FROM sys.databases WHERE name = @name"
            if (-not $seen) {
                $all = Read-Row $connection "SELECT CONVERT(int, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DATABASE')) AS whole"
                if ($all.whole -ne 1) { throw 'this account is not shown every database of the server' }
                return @{ exists = $false }
            }
            $found = @{ exists = $true; collation = $seen.collation; state = $seen.state; tables = $null; whole = $false; engine = $false }
            if ($seen.access -eq 1) {
                $inside = Open-Database $in.database
                try {
                    $row = Read-Row $inside "SELECT COUNT(*) AS tables, CONVERT(int, HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'VIEW DEFINITION')) AS whole, CASE WHEN OBJECT_ID(N'dbo.mms_management_agent') IS NULL THEN 0 ELSE 1 END AS engine FROM sys.tables WHERE is_ms_shipped = 0"
                } finally { $inside.Dispose() }
                $found.tables = [int]$row.tables
                # Who may see every definition has counted every table.
                $found.whole = $row.whole -eq 1
                $found.engine = $row.engine -eq 1
            }
            $found
        }
    } finally { $connection.Dispose() }
}
Say $out
