-- SPDX-License-Identifier: PostgreSQL
-- Foreign keys and indexes of school.sql.

CREATE INDEX schools_district ON schools (district_id);
CREATE INDEX students_school ON students (school_id, grade);
CREATE INDEX students_name ON students (lower(last_name), first_name);
CREATE INDEX student_guardians_guardian ON student_guardians (guardian_id);
CREATE INDEX enrolments_section ON enrolments (section_id) WHERE status = 'active';
CREATE INDEX results_student ON results (student_id);
CREATE INDEX results_assessment ON results (assessment_id);
CREATE INDEX documents_student ON documents (student_id);

ALTER TABLE schools ADD FOREIGN KEY (district_id) REFERENCES districts;
ALTER TABLE staff ADD FOREIGN KEY (school_id) REFERENCES schools;
ALTER TABLE students ADD FOREIGN KEY (school_id) REFERENCES schools;
ALTER TABLE student_guardians ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE CASCADE;
ALTER TABLE student_guardians ADD FOREIGN KEY (guardian_id) REFERENCES guardians;
ALTER TABLE sections ADD FOREIGN KEY (school_id) REFERENCES schools, ADD FOREIGN KEY (course_id) REFERENCES courses,
    ADD FOREIGN KEY (term_id) REFERENCES terms, ADD FOREIGN KEY (teacher_id) REFERENCES staff;
ALTER TABLE enrolments ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE CASCADE, ADD FOREIGN KEY (section_id) REFERENCES sections;
ALTER TABLE attendance ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE CASCADE;
ALTER TABLE assessments ADD FOREIGN KEY (section_id) REFERENCES sections;
ALTER TABLE results ADD FOREIGN KEY (assessment_id) REFERENCES assessments, ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE CASCADE;
ALTER TABLE grades ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE CASCADE, ADD FOREIGN KEY (term_id) REFERENCES terms,
    ADD FOREIGN KEY (course_id) REFERENCES courses;
ALTER TABLE documents ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE CASCADE;
SET client_min_messages = error;
ANALYZE;
