-- SPDX-License-Identifier: PostgreSQL
-- The legacy database of ./quickstart sqlserver: a school district's tables in SQL Server's types. A line GO ends a
-- batch. keys.sql follows when the rows are in.

CREATE TABLE dbo.District (
    Id          int NOT NULL CONSTRAINT PK_District PRIMARY KEY,
    Code        char(5) NOT NULL CONSTRAINT UQ_District_Code UNIQUE,
    Name        nvarchar(100) NOT NULL,
    Settings    xml NULL
)
CREATE TABLE dbo.Term (
    Id          smallint NOT NULL CONSTRAINT PK_Term PRIMARY KEY,
    Name        nvarchar(40) NOT NULL,
    Starts      date NOT NULL,
    Ends        date NOT NULL
)
CREATE TABLE dbo.School (
    Id          int IDENTITY(1,1) NOT NULL CONSTRAINT PK_School PRIMARY KEY,
    DistrictId  int NOT NULL,
    Name        nvarchar(100) NOT NULL,
    Phone       varchar(20) NULL,
    Opens       time(0) NOT NULL CONSTRAINT DF_School_Opens DEFAULT '08:00:00',
    Budget      money NULL
)
CREATE TABLE dbo.Staff (
    Id          uniqueidentifier NOT NULL CONSTRAINT PK_Staff PRIMARY KEY CONSTRAINT DF_Staff_Id DEFAULT NEWID(),
    SchoolId    int NOT NULL,
    Name        nvarchar(100) NOT NULL,
    Email       varchar(80) NOT NULL CONSTRAINT UQ_Staff_Email UNIQUE,
    Hired       date NOT NULL,
    Salary      decimal(10,2) NULL,
    Active      bit NOT NULL CONSTRAINT DF_Staff_Active DEFAULT 1
)
CREATE TABLE dbo.Student (
    Id          bigint IDENTITY(1,1) NOT NULL CONSTRAINT PK_Student PRIMARY KEY,
    SchoolId    int NOT NULL,
    FirstName   nvarchar(50) NOT NULL,
    LastName    nvarchar(50) NOT NULL,
    Born        date NOT NULL,
    Grade       tinyint NOT NULL,
    Email       varchar(80) NULL,
    Profile     nvarchar(max) NULL,
    UpdatedAt   datetime2(3) NOT NULL CONSTRAINT DF_Student_UpdatedAt DEFAULT SYSUTCDATETIME()
)
CREATE TABLE dbo.Guardian (
    Id          bigint IDENTITY(1,1) NOT NULL CONSTRAINT PK_Guardian PRIMARY KEY,
    Name        nvarchar(100) NOT NULL,
    Phone       varchar(30) NULL,
    Address     nvarchar(200) NULL
)
CREATE TABLE dbo.StudentGuardian (
    StudentId   bigint NOT NULL,
    GuardianId  bigint NOT NULL,
    Relation    nvarchar(20) NOT NULL,
    Emergency   bit NOT NULL,
    CONSTRAINT PK_StudentGuardian PRIMARY KEY (StudentId, GuardianId)
)
CREATE TABLE dbo.Course (
    Id          int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Course PRIMARY KEY,
    Code        varchar(20) NOT NULL CONSTRAINT UQ_Course_Code UNIQUE,
    Title       nvarchar(100) NOT NULL,
    Credits     decimal(4,2) NOT NULL
)
CREATE TABLE dbo.Section (
    Id          int IDENTITY(1,1) NOT NULL CONSTRAINT PK_Section PRIMARY KEY,
    SchoolId    int NOT NULL,
    CourseId    int NOT NULL,
    TermId      smallint NOT NULL,
    TeacherId   uniqueidentifier NULL,
    MeetsAt     datetimeoffset(0) NOT NULL,
    Room        nvarchar(20) NULL
)
CREATE TABLE dbo.Enrolment (
    StudentId   bigint NOT NULL,
    SectionId   int NOT NULL,
    Status      varchar(10) NOT NULL CONSTRAINT CK_Enrolment_Status CHECK (Status IN ('applied', 'active', 'withdrawn', 'completed')),
    Since       datetime NOT NULL,
    CONSTRAINT PK_Enrolment PRIMARY KEY (StudentId, SectionId)
)
CREATE TABLE dbo.Attendance (
    StudentId   bigint NOT NULL,
    Day         date NOT NULL,
    Minutes     smallint NOT NULL,
    Note        nvarchar(200) NULL,
    CONSTRAINT PK_Attendance PRIMARY KEY (StudentId, Day)
)
CREATE TABLE dbo.Assessment (
    Id          bigint IDENTITY(1,1) NOT NULL CONSTRAINT PK_Assessment PRIMARY KEY,
    SectionId   int NOT NULL,
    Title       nvarchar(100) NOT NULL,
    GivenOn     date NOT NULL,
    OutOf       decimal(6,2) NOT NULL
)
CREATE TABLE dbo.Result (
    Id           bigint IDENTITY(1,1) NOT NULL CONSTRAINT PK_Result PRIMARY KEY,
    AssessmentId bigint NOT NULL,
    StudentId    bigint NOT NULL,
    Points       decimal(6,2) NULL,
    Raw          float NULL,
    RecordedAt   datetime2(3) NOT NULL,
    Comment      nvarchar(400) NULL
)
CREATE TABLE dbo.TermGrade (
    StudentId   bigint NOT NULL,
    TermId      smallint NOT NULL,
    CourseId    int NOT NULL,
    Letter      char(2) NOT NULL,
    Gpa         decimal(4,3) NOT NULL,
    CONSTRAINT PK_TermGrade PRIMARY KEY (StudentId, TermId, CourseId)
)
CREATE TABLE dbo.Document (
    Id          uniqueidentifier NOT NULL CONSTRAINT PK_Document PRIMARY KEY,
    StudentId   bigint NOT NULL,
    Kind        nvarchar(20) NOT NULL,
    Body        varbinary(max) NULL,
    TextBody    nvarchar(max) NULL,
    Added       smalldatetime NOT NULL
)
