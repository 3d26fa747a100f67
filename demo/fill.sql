-- SPDX-License-Identifier: PostgreSQL
-- Rows for school.sql, the same ones each time. psql variable `rows`: about how many in all.

SET synchronous_commit = off;
SELECT greatest(:rows / 20, 200) AS students, greatest(:rows / 2000, 20) AS courses,
       greatest(:rows / 5000, 10) AS schools, greatest(:rows / 100, 100) AS sections,
       greatest(:rows / 200, 50) AS assessments \gset

INSERT INTO districts
SELECT i, 'D' || lpad(i::text, 4, '0'), 'District ' || i, jsonb_build_object('zone', 'America/Chicago', 'lunch', i % 3)
  FROM generate_series(1, 20) i;
INSERT INTO terms
SELECT i, 'Term ' || i, date '2020-08-15' + i * 120, date '2020-12-01' + i * 120 FROM generate_series(1, 8) i;
INSERT INTO schools (district_id, name, phone, opens, grades)
SELECT 1 + i % 20, 'School No. ' || i, '555-' || lpad(i::text, 4, '0'), time '07:30' + (i % 6) * interval '10 min',
       CASE i % 3 WHEN 0 THEN '{1,2,3,4,5}' WHEN 1 THEN '{6,7,8}' ELSE '{9,10,11,12}' END::int[]
  FROM generate_series(1, :schools) i;
INSERT INTO staff
SELECT md5('staff' || i)::uuid, 1 + i % :schools, 'Teacher ' || md5(i::text), 'teacher' || i || '@example.org',
       date '1990-01-01' + i % 12000, 30000 + (i * 7919 % 5000000) / 100.0,
       (ARRAY['math', 'art', 'history', 'chemistry'])[1 + i % 2 : 2 + i % 3], i % 17 <> 0
  FROM generate_series(1, :sections) i;
INSERT INTO students (school_id, first_name, last_name, born, grade, email, profile, updated_at)
SELECT 1 + i % :schools, (ARRAY['Ana', 'Björn', 'Chloé', 'Đức', 'Emre', '小明', 'Grace', 'O''Neil'])[1 + i % 8],
       'Family ' || i % 9973, date '2004-01-01' + i % 4000, 1 + i % 12,
       CASE WHEN i % 11 <> 0 THEN 'student' || i || '@example.org' END,
       jsonb_build_object('bus', i % 40, 'allergies', CASE WHEN i % 9 = 0 THEN '["nuts"]' ELSE '[]' END::jsonb),
       timestamptz '2024-09-01 00:00Z' + i * interval '1 second'
  FROM generate_series(1, :students) i;
INSERT INTO guardians (name, phones, address)
SELECT 'Guardian ' || i, ARRAY['+1-312-' || i, NULL], json_build_object('street', i || ' Main St', 'zip', 60000 + i % 900)
  FROM generate_series(1, :students * 7 / 5) i;
INSERT INTO student_guardians
SELECT 1 + i % :students, i, CASE WHEN i % 2 = 0 THEN 'mother' ELSE 'father' END, i % 3 = 0
  FROM generate_series(1, :students * 7 / 5) i;
INSERT INTO courses (code, title, credits)
SELECT 'C-' || i, 'Course ' || i, (ARRAY[0.5, 1, 1.50, 2])[1 + i % 4] FROM generate_series(1, :courses) i;
INSERT INTO sections (school_id, course_id, term_id, teacher_id, meets, room)
SELECT 1 + i % :schools, 1 + i % :courses, 1 + i % 8, md5('staff' || i)::uuid,
       tstzrange(timestamptz '2024-09-02 08:00Z' + i % 300 * interval '1 hour', timestamptz '2024-09-02 09:00Z' + i % 300 * interval '1 hour'),
       'R' || i % 60
  FROM generate_series(1, :sections) i;
INSERT INTO enrolments
SELECT s, 1 + (s * 31 + k * 1009) % :sections, (ARRAY['applied', 'active', 'active', 'completed'])[1 + (s + k) % 4]::enrolment_status,
       timestamptz '2024-08-01 12:00Z' + (s % 500) * interval '1 min'
  FROM generate_series(1, :students) s, generate_series(0, 3) k
ON CONFLICT DO NOTHING;
INSERT INTO attendance
SELECT s, date '2024-09-02' + k, 400 - (s * k) % 60, CASE WHEN (s + k) % 50 = 0 THEN 'late: "bus"' END
  FROM generate_series(1, :students) s, generate_series(0, 5) k;
INSERT INTO assessments (section_id, title, given_on, out_of, rubric)
SELECT 1 + i % :sections, 'Quiz ' || i, date '2024-09-10' + i % 90, 20 + i % 80, CASE WHEN i % 2 = 0 THEN '{"parts": [1, 2.50, null]}'::jsonb END
  FROM generate_series(1, :assessments) i;
INSERT INTO results (assessment_id, student_id, points, raw, recorded_at, comment)
SELECT 1 + (i * 7) % :assessments, 1 + i % :students, (i * 13 % 2000) / 100.0, sqrt(i), timestamptz '2024-10-01Z' + i * interval '1 s',
       CASE WHEN i % 20 = 0 THEN 'well done' END
  FROM generate_series(1, :students * 4) i;
INSERT INTO grades
SELECT s, 1 + s % 8, 1 + s % :courses, (ARRAY['A', 'B+', 'C', 'F'])[1 + s % 4], (s * 17 % 4000) / 1000.0
  FROM generate_series(1, :students) s;
INSERT INTO documents
SELECT md5('doc' || i)::uuid, 1 + i % :students, 'report', decode(md5(i::text), 'hex'), repeat(md5(i::text), i % 200), timestamp '2024-01-01' + i * interval '1 min'
  FROM generate_series(1, :students / 10) i;
