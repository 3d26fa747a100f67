-- Crossfade, legacy side on a SQL Server: the login that reads. Run with sqlcmd in the legacy database, by a member
-- of sysadmin (or securityadmin of the server and db_owner of the database and msdb), after `crossfade install` or its
-- printed script has made schema crossfade:
--
--   sqlcmd -S SERVER -d DATABASE -b -v login="crossfade" password="…" -i roles-sqlserver.sql
--
-- Running it twice does no harm; an existing login keeps its password. A Windows user or group is named DOMAIN\name:
-- then make its login first, with CREATE LOGIN [DOMAIN\name] FROM WINDOWS. On Azure SQL Database make the login in
-- master first, too, and leave out the part of msdb. Nothing here writes to a table of yours.
IF SUSER_ID(N'$(login)') IS NULL
    CREATE LOGIN [$(login)] WITH PASSWORD = N'$(password)'
GO
IF USER_ID(N'$(login)') IS NULL
    CREATE USER [$(login)] FOR LOGIN [$(login)]
GO

-- To read the tables and the change tables: the copy, the stream, rows read again, check --data. db_datareader is
-- every schema's SELECT, those to come too, schema cdc among them. To leave some out, GRANT SELECT ON SCHEMA::[name]
-- one by one instead, [cdc] too, and enable capture with @role_name = NULL.
ALTER ROLE [db_datareader] ADD MEMBER [$(login)]
GO
-- To see all of the catalog: defaults and checks for `crossfade schema`; security policies, so that rows they hide
-- are noticed.
GRANT VIEW DEFINITION TO [$(login)]
GO
-- To see how capture is doing.
GRANT VIEW DATABASE STATE TO [$(login)]
GO
-- The rows that are markers, in our own schema.
IF SCHEMA_ID(N'crossfade') IS NOT NULL
    GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA::[crossfade] TO [$(login)]
GO

-- Only where columns are masked (`crossfade check`: masked), for else the masks would be copied:
-- GRANT UNMASK TO [$(login)]
-- GO
-- Only for capture "change_tracking", schema by schema:
-- GRANT VIEW CHANGE TRACKING ON SCHEMA::[dbo] TO [$(login)]
-- GO
-- Only for `crossfade check` to see the Agent's service and whether the connection is encrypted:
-- USE [master]
-- GO
-- GRANT VIEW SERVER STATE TO [$(login)]
-- GO

-- Only for the reverse direction (a group of direction "reverse" or "both"): to write the tables, schema by schema.
-- ALTER is what SET IDENTITY_INSERT takes. Without it, leave out ALTER where no table has an identity.
-- GRANT INSERT, UPDATE, DELETE, ALTER ON SCHEMA::[dbo] TO [$(login)]
-- GO

-- The jobs' settings (retention, polling) and restores, by which a restored database is known.
USE [msdb]
GO
IF USER_ID(N'$(login)') IS NULL
    CREATE USER [$(login)] FOR LOGIN [$(login)]
GO
IF OBJECT_ID(N'dbo.cdc_jobs') IS NOT NULL
    GRANT SELECT ON [dbo].[cdc_jobs] TO [$(login)]
GO
IF OBJECT_ID(N'dbo.restorehistory') IS NOT NULL
    GRANT SELECT ON [dbo].[restorehistory] TO [$(login)]
GO
