-- SPDX-License-Identifier: PostgreSQL
-- SUM and AVG with the types SQL Server gives them (SUM, AVG (Transact-SQL)): int of smaller integers, bigint of bigint.
-- AVG of bigint and the numerics is PostgreSQL's.
CREATE FUNCTION standin.sum_int(int8) RETURNS int4 LANGUAGE sql IMMUTABLE AS $$ SELECT $1::int4 $$;
CREATE FUNCTION standin.avg_int(int8[]) RETURNS int4 LANGUAGE sql IMMUTABLE AS $$ SELECT ($1[2] / nullif($1[1], 0))::int4 $$;
CREATE FUNCTION standin.add_money(sys.money, sys.money) RETURNS sys.money LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ($1::numeric + $2::numeric)::sys.money $$;
CREATE AGGREGATE sys.sum(int2) (SFUNC = int2_sum, STYPE = int8, FINALFUNC = standin.sum_int);
CREATE AGGREGATE sys.sum(int4) (SFUNC = int4_sum, STYPE = int8, FINALFUNC = standin.sum_int);
CREATE AGGREGATE sys.sum(int8) (SFUNC = int8pl, STYPE = int8);
CREATE AGGREGATE sys.sum(numeric) (SFUNC = numeric_add, STYPE = numeric);
CREATE AGGREGATE sys.sum(float8) (SFUNC = float8pl, STYPE = float8);
CREATE AGGREGATE sys.sum(sys.money) (SFUNC = standin.add_money, STYPE = sys.money);
CREATE AGGREGATE sys.avg(int2) (SFUNC = int2_avg_accum, STYPE = int8[], FINALFUNC = standin.avg_int, INITCOND = '{0,0}');
CREATE AGGREGATE sys.avg(int4) (SFUNC = int4_avg_accum, STYPE = int8[], FINALFUNC = standin.avg_int, INITCOND = '{0,0}');
CREATE AGGREGATE sys.avg(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg);
CREATE AGGREGATE sys.avg(float8) (SFUNC = float8_accum, STYPE = float8[], FINALFUNC = float8_avg, INITCOND = '{0,0,0}');
