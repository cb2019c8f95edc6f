CREATE TABLE public.idempotency_keys (
    user_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    fingerprint text NOT NULL,
    answer text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.seaql_migrations (
    version character varying NOT NULL,
    applied_at bigint NOT NULL
);
CREATE TABLE public.tasks (
    user_id text NOT NULL COLLATE pg_catalog."C",
    id uuid NOT NULL,
    title text NOT NULL,
    title_key text NOT NULL COLLATE pg_catalog."C",
    description text,
    completed boolean NOT NULL,
    due_date timestamp with time zone,
    version bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    tags text DEFAULT '[]'::text NOT NULL
);
CREATE TABLE public.users (
    id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL
);
INSERT INTO public.idempotency_keys VALUES ('alice', 'title', 'b02PfO4PvmJE93acUDuZBmeA4cYZXpwrDkRQndE/+II', '{"format":1,"request":"NBO+9A1MdquadwSpGGNA4gQRmW0ULigLD254uDIGysc","id":"01a22298-cbc5-780c-94ce-aada38f8409b","title":"Buy milk","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"alice","created_at":"2026-11-28T14:39:28.709503Z","updated_at":"2026-11-28T14:39:28.709503Z"}', '2026-11-28 14:39:28.709503+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'nulls', '2EN91ppABqV+EacgjQhqDFsAhRaERbpBDBUYSqeeEss', '{"format":1,"request":"iPo4qg1WC+v+482r14fvE8dknoLMDaY4FA7g+7fQnFQ","id":"01a22298-cbe2-77fb-9d4d-930e045d61fc","title":"Call Ann","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"alice","created_at":"2026-11-28T14:39:28.738499Z","updated_at":"2026-11-28T14:39:28.738499Z"}', '2026-11-28 14:39:28.738499+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'all', 'lcqqX2yomi20mDfPKOUHLdoA3M6bYdCOrtGjy6F4L70', '{"format":1,"request":"/azicUPYZc1fxHZ26WtS1Xm8oODa7iUD6wGR2bYTc3c","id":"01a22298-cbe9-7ff7-bfd3-364cb093a4c7","title":"Ça va? 🎉","description":"\n“Two” litres,\t''the blue one''","completed":true,"priority":0,"tags":"[]","due_date":"2026-12-01T08:00:00.123456Z","user_id":"alice","created_at":"2026-11-28T14:39:28.745998Z","updated_at":"2026-11-28T14:39:28.745998Z"}', '2026-11-28 14:39:28.745998+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'some', 'fBjKgiZgsYQWTUCsOAck2VDzyraMMwLkzF/I/nzkXd0', '{"format":1,"request":"DZ7sBAODpVcAhDq1LgextnVPB6r5CXWNZNdMz0qIIig","id":"01a22298-cc01-7d37-8e57-48ff9bf9d2d2","title":"Later","description":null,"completed":false,"priority":0,"tags":"[]","due_date":"2026-12-02T00:00:00Z","user_id":"alice","created_at":"2026-11-28T14:39:28.769826Z","updated_at":"2026-11-28T14:39:28.769826Z"}', '2026-11-28 14:39:28.769826+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'gone', 'vbJL1aD+Ib7vORhjepeZp1GBVeO3+poVRI9eR77VmTg', '{"format":1,"request":"2KXREyA+dMWMLEV1mRdAt2e1UeS8Qzjho+wEGIyN9uE","id":"01a22298-cc13-7439-9ebb-16066eff651a","title":"Deleted since","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"alice","created_at":"2026-11-28T14:39:28.787264Z","updated_at":"2026-11-28T14:39:28.787264Z"}', '2026-11-28 14:39:28.787264+00');
INSERT INTO public.idempotency_keys VALUES ('bob', 'title', 'FSWGjz3Lt+8LakTV0o6cVY4eQM1uA5WOF3epP+6P2Y0', '{"format":1,"request":"PHToY1793JhMZxtt4SZrmoIjE0o3rVDWiC5T/55f8Z8","id":"01a22298-cc34-7702-b484-b60b36c461d6","title":"Bob''s own","description":null,"completed":false,"priority":0,"tags":"[]","due_date":null,"user_id":"bob","created_at":"2026-11-28T14:39:28.820438Z","updated_at":"2026-11-28T14:39:28.820438Z"}', '2026-11-28 14:39:28.820438+00');
INSERT INTO public.idempotency_keys VALUES ('bob', 'example', 'fuAib/gy1ohWiQv6/WoNXQKpvslhuU4bMLPXDg3Fd5k', '{"format":1,"request":"fuAib/gy1ohWiQv6/WoNXQKpvslhuU4bMLPXDg3Fd5k","id":"01a22298-cc58-7dce-ba6b-5fea1a490d3d","title":"Buy milk","description":"Two litres, the blue one","completed":false,"priority":3,"tags":"[\"shop\",\"home\"]","due_date":"2026-11-27T17:00:00Z","user_id":"bob","created_at":"2026-11-28T14:39:28.856863Z","updated_at":"2026-11-28T14:39:28.856863Z"}', '2026-11-28 14:39:28.856863+00');
INSERT INTO public.seaql_migrations VALUES ('m20261121_000001_users_and_tasks', 1795876768);
INSERT INTO public.seaql_migrations VALUES ('m20261121_000002_idempotency_keys', 1795876768);
INSERT INTO public.seaql_migrations VALUES ('m20261121_000003_dated_and_undated', 1795876768);
INSERT INTO public.seaql_migrations VALUES ('m20261125_000004_hash_of_ids', 1795876768);
INSERT INTO public.seaql_migrations VALUES ('m20261128_000005_priority_and_tags', 1795876768);
INSERT INTO public.seaql_migrations VALUES ('m20261128_000006_by_priority', 1795876768);
INSERT INTO public.tasks VALUES ('alice', '01a22298-cbe2-77fb-9d4d-930e045d61fc', 'Call Ann', 'call ann', NULL, false, NULL, 1, '2026-11-28 14:39:28.738499+00', '2026-11-28 14:39:28.738499+00', 0, '[]');
INSERT INTO public.tasks VALUES ('alice', '01a22298-cbe9-7ff7-bfd3-364cb093a4c7', 'Ça va? 🎉', 'ça va? 🎉', '
“Two” litres,	''the blue one''', true, '2026-12-01 08:00:00.123456+00', 1, '2026-11-28 14:39:28.745998+00', '2026-11-28 14:39:28.745998+00', 0, '[]');
INSERT INTO public.tasks VALUES ('alice', '01a22298-cc01-7d37-8e57-48ff9bf9d2d2', 'Later', 'later', NULL, false, '2026-12-02 00:00:00+00', 1, '2026-11-28 14:39:28.769826+00', '2026-11-28 14:39:28.769826+00', 0, '[]');
INSERT INTO public.tasks VALUES ('bob', '01a22298-cc34-7702-b484-b60b36c461d6', 'Bob''s own', 'bob''s own', NULL, false, NULL, 1, '2026-11-28 14:39:28.820438+00', '2026-11-28 14:39:28.820438+00', 0, '[]');
INSERT INTO public.tasks VALUES ('bob', '01a22298-cc58-7dce-ba6b-5fea1a490d3d', 'Buy milk', 'buy milk', 'Two litres, the blue one', false, '2026-11-27 17:00:00+00', 1, '2026-11-28 14:39:28.856863+00', '2026-11-28 14:39:28.856863+00', 3, '["shop","home"]');
INSERT INTO public.tasks VALUES ('alice', '01a22298-cbc5-780c-94ce-aada38f8409b', 'Changed since', 'changed since', NULL, false, NULL, 2, '2026-11-28 14:39:28.709503+00', '2026-11-28 14:39:28.891104+00', 0, '[]');
INSERT INTO public.users VALUES ('alice', '2026-11-28 14:39:28.709503+00');
INSERT INTO public.users VALUES ('bob', '2026-11-28 14:39:28.820438+00');
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key);
ALTER TABLE ONLY public.seaql_migrations
    ADD CONSTRAINT seaql_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);
CREATE INDEX tasks_by_due_date ON public.tasks USING btree (user_id, completed, due_date, id) WHERE (due_date IS NOT NULL);
CREATE INDEX tasks_by_priority ON public.tasks USING btree (user_id, completed, priority, id) WHERE (priority <> 0);
CREATE INDEX tasks_by_title ON public.tasks USING btree (user_id, completed, title_key, id);
CREATE INDEX tasks_dated_only ON public.tasks USING btree (user_id, completed, id) WHERE ((due_date IS NOT NULL) AND (priority = 0));
CREATE INDEX tasks_id ON public.tasks USING hash (id);
CREATE INDEX tasks_plain ON public.tasks USING btree (user_id, completed, id) WHERE ((due_date IS NULL) AND (priority = 0));
CREATE INDEX tasks_prioritized ON public.tasks USING btree (user_id, completed, id) WHERE (priority <> 0);
CREATE INDEX tasks_prioritized_undated ON public.tasks USING btree (user_id, completed, id) WHERE ((due_date IS NULL) AND (priority <> 0));
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
