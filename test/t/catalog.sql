-- All that PostgreSQL's catalogs say of the extension, one line a fact, by name.
-- Grants to roles are facts too; their order, and whether a default is spelled out, is none.
WITH member AS (
    SELECT d.classid, d.objid, i.type, i.identity
    FROM pg_depend AS d, pg_identify_object(d.classid, d.objid, d.objsubid) AS i
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
      AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ledger')
), relation AS (
    SELECT m.identity, c.* FROM member AS m JOIN pg_class AS c ON c.oid = m.objid WHERE m.classid = 'pg_class'::regclass
), fact (kind, object, fact) AS (
    SELECT 'extension', e.extname::text, concat_ws(' ', e.extversion, e.extnamespace::regnamespace, e.extrelocatable,
            (SELECT array_agg(concat(t::regclass, ' ', e.extcondition[n]) ORDER BY t::regclass::text)
             FROM unnest(e.extconfig) WITH ORDINALITY AS u (t, n)))
    FROM pg_extension AS e WHERE e.extname = 'ledger'
    UNION ALL SELECT 'member', identity, type FROM member
    UNION ALL SELECT 'comment', concat_ws(' ', m.identity, NULLIF(d.objsubid, 0)), d.description
    FROM member AS m JOIN pg_description AS d ON d.classoid = m.classid AND d.objoid = m.objid
    UNION ALL SELECT 'initial grant', concat_ws(' ', m.identity, NULLIF(p.objsubid, 0)), a::text
    FROM member AS m JOIN pg_init_privs AS p ON p.classoid = m.classid AND p.objoid = m.objid, unnest(p.initprivs) AS a
    -- What objects need of one another, by names.
    UNION ALL SELECT 'dependency', m.identity, concat_ws(' ', d.deptype, NULLIF(d.objsubid, 0), r.type, r.identity)
    FROM member AS m JOIN pg_depend AS d ON d.classid = m.classid AND d.objid = m.objid,
         pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS r
    UNION ALL SELECT 'schema', n.nspname::text, concat_ws(' ', n.nspowner::regrole, a)
    FROM member AS m JOIN pg_namespace AS n ON n.oid = m.objid, unnest(COALESCE(n.nspacl, acldefault('n', n.nspowner))) AS a
    WHERE m.classid = 'pg_namespace'::regclass
    UNION ALL SELECT 'function', m.identity, concat_ws(' ', p.proowner::regrole, pg_get_functiondef(p.oid))
    FROM member AS m JOIN pg_proc AS p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass
    UNION ALL SELECT 'grant', m.identity, a::text
    FROM member AS m JOIN pg_proc AS p ON p.oid = m.objid, unnest(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a
    WHERE m.classid = 'pg_proc'::regclass
    UNION ALL SELECT 'relation', r.identity, concat_ws(' ', r.relkind, r.relpersistence, r.relowner::regrole, r.relrowsecurity,
            r.relforcerowsecurity, r.relreplident, r.reloptions)
    FROM relation AS r
    UNION ALL SELECT 'grant', r.identity, a::text FROM relation AS r, unnest(COALESCE(r.relacl, acldefault('r', r.relowner))) AS a
    UNION ALL SELECT 'view', r.identity, pg_get_viewdef(r.oid) FROM relation AS r WHERE r.relkind = 'v'
    UNION ALL SELECT 'column', r.identity, concat_ws(' ', a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attcollation::regcollation, a.attstorage, a.attcompression, a.attgenerated, a.attidentity, a.attacl,
            -- the server's own note, another in each database
            (SELECT array_agg(o) FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg\_attver=%'), pg_get_expr(d.adbin, d.adrelid))
    FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL SELECT 'constraint', r.identity, concat_ws(' ', c.conname, pg_get_constraintdef(c.oid))
    FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
    UNION ALL SELECT 'index', r.identity, concat_ws(' ', pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisreplident)
    FROM relation AS r JOIN pg_index AS x ON x.indrelid = r.oid
    UNION ALL SELECT 'trigger', r.identity, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
    FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid
    UNION ALL SELECT 'rule', r.identity, pg_get_ruledef(w.oid) FROM relation AS r JOIN pg_rewrite AS w ON w.ev_class = r.oid
)
SELECT DISTINCT concat_ws('|', kind, object, replace(fact, E'\n', '\n')) FROM fact ORDER BY 1
