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
    updated_at timestamp with time zone NOT NULL
);
CREATE TABLE public.users (
    id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL
);
INSERT INTO public.idempotency_keys VALUES ('alice', 'title', 'b02PfO4PvmJE93acUDuZBmeA4cYZXpwrDkRQndE/+II', '{"id":"01a221aa-76d2-76c4-9baf-37e0e4cc31c7","title":"Buy milk","description":null,"completed":false,"due_date":null,"user_id":"alice","created_at":"2026-11-28T10:19:09.394423Z","updated_at":"2026-11-28T10:19:09.394423Z"}', '2026-11-28 10:19:09.394423+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'nulls', '2EN91ppABqV+EacgjQhqDFsAhRaERbpBDBUYSqeeEss', '{"id":"01a221aa-76de-760c-9f69-3f466dadbe1f","title":"Call Ann","description":null,"completed":false,"due_date":null,"user_id":"alice","created_at":"2026-11-28T10:19:09.406378Z","updated_at":"2026-11-28T10:19:09.406378Z"}', '2026-11-28 10:19:09.406378+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'all', 'lcqqX2yomi20mDfPKOUHLdoA3M6bYdCOrtGjy6F4L70', '{"id":"01a221aa-76e2-7fca-9e86-682826942247","title":"Ça va? 🎉","description":"\n“Two” litres,\t''the blue one''","completed":true,"due_date":"2026-12-01T08:00:00.123456Z","user_id":"alice","created_at":"2026-11-28T10:19:09.410987Z","updated_at":"2026-11-28T10:19:09.410987Z"}', '2026-11-28 10:19:09.410987+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'some', 'fBjKgiZgsYQWTUCsOAck2VDzyraMMwLkzF/I/nzkXd0', '{"id":"01a221aa-76e7-70f9-8cbb-e7c6c8ecacb5","title":"Later","description":null,"completed":false,"due_date":"2026-12-02T00:00:00Z","user_id":"alice","created_at":"2026-11-28T10:19:09.415061Z","updated_at":"2026-11-28T10:19:09.415061Z"}', '2026-11-28 10:19:09.415061+00');
INSERT INTO public.idempotency_keys VALUES ('alice', 'gone', 'vbJL1aD+Ib7vORhjepeZp1GBVeO3+poVRI9eR77VmTg', '{"id":"01a221aa-76ea-7bd7-86e8-58cec87fa5b9","title":"Deleted since","description":null,"completed":false,"due_date":null,"user_id":"alice","created_at":"2026-11-28T10:19:09.418740Z","updated_at":"2026-11-28T10:19:09.418740Z"}', '2026-11-28 10:19:09.41874+00');
INSERT INTO public.idempotency_keys VALUES ('bob', 'title', 'FSWGjz3Lt+8LakTV0o6cVY4eQM1uA5WOF3epP+6P2Y0', '{"id":"01a221aa-76ee-70ac-b032-5201d89b77ee","title":"Bob''s own","description":null,"completed":false,"due_date":null,"user_id":"bob","created_at":"2026-11-28T10:19:09.422042Z","updated_at":"2026-11-28T10:19:09.422042Z"}', '2026-11-28 10:19:09.422042+00');
INSERT INTO public.seaql_migrations VALUES ('m20261121_000001_users_and_tasks', 1795861149);
INSERT INTO public.seaql_migrations VALUES ('m20261121_000002_idempotency_keys', 1795861149);
INSERT INTO public.tasks VALUES ('alice', '01a221aa-76de-760c-9f69-3f466dadbe1f', 'Call Ann', 'call ann', NULL, false, NULL, 1, '2026-11-28 10:19:09.406378+00', '2026-11-28 10:19:09.406378+00');
INSERT INTO public.tasks VALUES ('alice', '01a221aa-76e2-7fca-9e86-682826942247', 'Ça va? 🎉', 'ça va? 🎉', '
“Two” litres,	''the blue one''', true, '2026-12-01 08:00:00.123456+00', 1, '2026-11-28 10:19:09.410987+00', '2026-11-28 10:19:09.410987+00');
INSERT INTO public.tasks VALUES ('alice', '01a221aa-76e7-70f9-8cbb-e7c6c8ecacb5', 'Later', 'later', NULL, false, '2026-12-02 00:00:00+00', 1, '2026-11-28 10:19:09.415061+00', '2026-11-28 10:19:09.415061+00');
INSERT INTO public.tasks VALUES ('bob', '01a221aa-76ee-70ac-b032-5201d89b77ee', 'Bob''s own', 'bob''s own', NULL, false, NULL, 1, '2026-11-28 10:19:09.422042+00', '2026-11-28 10:19:09.422042+00');
INSERT INTO public.tasks VALUES ('alice', '01a221aa-76d2-76c4-9baf-37e0e4cc31c7', 'Changed since', 'changed since', NULL, false, NULL, 2, '2026-11-28 10:19:09.394423+00', '2026-11-28 10:19:09.426923+00');
INSERT INTO public.users VALUES ('alice', '2026-11-28 10:19:09.394423+00');
INSERT INTO public.users VALUES ('bob', '2026-11-28 10:19:09.422042+00');
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key);
ALTER TABLE ONLY public.seaql_migrations
    ADD CONSTRAINT seaql_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);
CREATE INDEX tasks_by_due_date ON public.tasks USING btree (user_id, completed, due_date, id);
CREATE INDEX tasks_by_status ON public.tasks USING btree (user_id, completed, id);
CREATE INDEX tasks_by_title ON public.tasks USING btree (user_id, completed, title_key, id);
CREATE UNIQUE INDEX tasks_id ON public.tasks USING btree (id);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
