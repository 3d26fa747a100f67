-- SPDX-License-Identifier: PostgreSQL
-- Foreign keys and indexes of school.sql.

CREATE INDEX IX_School_District ON dbo.School (DistrictId)
CREATE INDEX IX_Student_School ON dbo.Student (SchoolId, Grade)
CREATE UNIQUE INDEX UX_Student_Email ON dbo.Student (Email) WHERE Email IS NOT NULL
CREATE INDEX IX_StudentGuardian_Guardian ON dbo.StudentGuardian (GuardianId)
CREATE INDEX IX_Enrolment_Section ON dbo.Enrolment (SectionId) INCLUDE (Status)
CREATE INDEX IX_Result_Student ON dbo.Result (StudentId)
CREATE INDEX IX_Result_Assessment ON dbo.Result (AssessmentId)
CREATE INDEX IX_Document_Student ON dbo.Document (StudentId)
GO
ALTER TABLE dbo.School ADD CONSTRAINT FK_School_District FOREIGN KEY (DistrictId) REFERENCES dbo.District (Id)
ALTER TABLE dbo.Staff ADD CONSTRAINT FK_Staff_School FOREIGN KEY (SchoolId) REFERENCES dbo.School (Id)
ALTER TABLE dbo.Student ADD CONSTRAINT FK_Student_School FOREIGN KEY (SchoolId) REFERENCES dbo.School (Id)
ALTER TABLE dbo.StudentGuardian ADD CONSTRAINT FK_StudentGuardian_Student FOREIGN KEY (StudentId) REFERENCES dbo.Student (Id) ON DELETE CASCADE
ALTER TABLE dbo.StudentGuardian ADD CONSTRAINT FK_StudentGuardian_Guardian FOREIGN KEY (GuardianId) REFERENCES dbo.Guardian (Id)
ALTER TABLE dbo.Section ADD CONSTRAINT FK_Section_School FOREIGN KEY (SchoolId) REFERENCES dbo.School (Id)
ALTER TABLE dbo.Section ADD CONSTRAINT FK_Section_Course FOREIGN KEY (CourseId) REFERENCES dbo.Course (Id)
ALTER TABLE dbo.Section ADD CONSTRAINT FK_Section_Term FOREIGN KEY (TermId) REFERENCES dbo.Term (Id)
ALTER TABLE dbo.Section ADD CONSTRAINT FK_Section_Teacher FOREIGN KEY (TeacherId) REFERENCES dbo.Staff (Id)
ALTER TABLE dbo.Enrolment ADD CONSTRAINT FK_Enrolment_Student FOREIGN KEY (StudentId) REFERENCES dbo.Student (Id) ON DELETE CASCADE
ALTER TABLE dbo.Enrolment ADD CONSTRAINT FK_Enrolment_Section FOREIGN KEY (SectionId) REFERENCES dbo.Section (Id)
ALTER TABLE dbo.Attendance ADD CONSTRAINT FK_Attendance_Student FOREIGN KEY (StudentId) REFERENCES dbo.Student (Id) ON DELETE CASCADE
ALTER TABLE dbo.Assessment ADD CONSTRAINT FK_Assessment_Section FOREIGN KEY (SectionId) REFERENCES dbo.Section (Id)
ALTER TABLE dbo.Result ADD CONSTRAINT FK_Result_Assessment FOREIGN KEY (AssessmentId) REFERENCES dbo.Assessment (Id)
ALTER TABLE dbo.Result ADD CONSTRAINT FK_Result_Student FOREIGN KEY (StudentId) REFERENCES dbo.Student (Id) ON DELETE CASCADE
ALTER TABLE dbo.TermGrade ADD CONSTRAINT FK_TermGrade_Student FOREIGN KEY (StudentId) REFERENCES dbo.Student (Id) ON DELETE CASCADE
ALTER TABLE dbo.TermGrade ADD CONSTRAINT FK_TermGrade_Term FOREIGN KEY (TermId) REFERENCES dbo.Term (Id)
ALTER TABLE dbo.TermGrade ADD CONSTRAINT FK_TermGrade_Course FOREIGN KEY (CourseId) REFERENCES dbo.Course (Id)
ALTER TABLE dbo.Document ADD CONSTRAINT FK_Document_Student FOREIGN KEY (StudentId) REFERENCES dbo.Student (Id) ON DELETE CASCADE
