-- What SQL Server has and PostgreSQL lacks, made once in the database behind the front.
CREATE SCHEMA IF NOT EXISTS dbo;
CREATE SCHEMA IF NOT EXISTS sys;
CREATE SCHEMA IF NOT EXISTS front;
CREATE OR REPLACE FUNCTION front.isjson(given text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS
  $$ SELECT CASE WHEN given IS JSON OBJECT OR given IS JSON ARRAY THEN 1 ELSE 0 END $$;
CREATE OR REPLACE FUNCTION front.kind(given json) RETURNS int LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE json_typeof(given) WHEN 'null' THEN 0 WHEN 'string' THEN 1 WHEN 'number' THEN 2
     WHEN 'boolean' THEN 3 WHEN 'array' THEN 4 ELSE 5 END $$;
CREATE OR REPLACE FUNCTION front.openjson(given text)
  RETURNS TABLE ("key" text, "value" text, "type" int) LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF given IS JSON OBJECT THEN
    RETURN QUERY SELECT e.key, e.value #>> '{}', front.kind(e.value) FROM json_each(given::json) e;
  ELSIF given IS JSON ARRAY THEN
    RETURN QUERY SELECT (e.place - 1)::text, e.value #>> '{}', front.kind(e.value)
      FROM json_array_elements(given::json) WITH ORDINALITY e(value, place);
  ELSE
    RAISE EXCEPTION 'JSON text is not properly formatted.' USING ERRCODE = '22032';
  END IF;
END $$;
CREATE OR REPLACE FUNCTION front.try_float(given text) RETURNS float8 LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  RETURN given::float8;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION front.serverproperty(given text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT '16.0.1000.6 (a front on PostgreSQL)' $$;
CREATE OR REPLACE FUNCTION front.schema_id(given text) RETURNS int LANGUAGE sql STABLE AS
  $$ SELECT oid::int FROM pg_namespace WHERE nspname = given $$;
CREATE OR REPLACE VIEW sys.schemas AS
  SELECT nspname::text AS name, oid::int AS schema_id FROM pg_namespace;
CREATE OR REPLACE VIEW sys.tables AS
  SELECT relname::text AS name, oid::int AS object_id, relnamespace::int AS schema_id
  FROM pg_class WHERE relkind = 'r';
CREATE OR REPLACE VIEW sys.columns AS
  SELECT attname::text AS name, attrelid::int AS object_id, attnum::int AS column_id,
    (NOT attnotnull)::int AS is_nullable, atthasdef::int AS default_object_id,
    (attidentity <> '')::int AS is_identity, (attgenerated <> '')::int AS is_computed,
    CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 0 THEN (atttypmod - 4) * 2
      WHEN atttypid IN ('text'::regtype, 'varchar'::regtype) THEN -1 ELSE 8 END AS max_length,
    CASE WHEN atttypid IN ('text'::regtype, 'varchar'::regtype)
      THEN CASE c.collname WHEN 'POSIX' THEN 'SQL_Latin1_General_CP1_CI_AS'
        ELSE 'Latin1_General_100_BIN2' END END
      AS collation_name
  FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation
  WHERE attnum > 0 AND NOT attisdropped;
CREATE OR REPLACE VIEW sys.indexes AS
  SELECT c.relname::text AS name, i.indrelid::int AS object_id, i.indexrelid::int AS index_id,
    i.indisunique::int AS is_unique, (i.indpred IS NOT NULL)::int AS has_filter, 0 AS is_disabled
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid;
CREATE OR REPLACE VIEW sys.index_columns AS
  SELECT i.indrelid::int AS object_id, i.indexrelid::int AS index_id, k.number::int AS column_id,
    k.place::int AS key_ordinal, 0 AS is_included_column
  FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(number, place);
