import { useMutation } from "@tanstack/react-query";
import { Eye, EyeOff } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Link, useSearchParams } from "wouter";
import { session } from "../api/client";
import { Field } from "../ui/field";
import { Mark } from "../ui/mark";
import { Page } from "../ui/page";
import { Problem } from "../ui/states";

const COPY = {
  login: {
    path: "/v1/login",
    title: "Log in",
    lead: "Your background jobs, live.",
    password: "current-password",
    hint: null,
    other: { href: "/signup", ask: "New here?", text: "Create an account" },
  },
  signup: {
    path: "/v1/signup",
    title: "Sign up",
    lead: "A hosted job queue, ready in a minute.",
    password: "new-password",
    hint: "At least 8 characters.",
    other: { href: "/login", ask: "Have an account?", text: "Log in" },
  },
} as const;

/** Log-in and sign-up: one form that differs in words and in what a password manager is told. */
export function AuthPage({ kind }: { kind: keyof typeof COPY }) {
  const { path, title, lead, password, hint, other } = COPY[kind];
  const [search] = useSearchParams();
  const enter = useMutation({
    mutationFn: (form: FormData) =>
      session.signIn(path, String(form.get("email")), String(form.get("password"))),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    enter.mutate(new FormData(event.currentTarget));
  };
  return (
    <main className="auth">
      <div className="auth-brand">
        <Mark size={44} />
        <p>Windlass</p>
      </div>
      <Page title={title} className="card auth-card" aside={<p className="quiet">{lead}</p>}>
        <form className="form" onSubmit={submit}>
          {enter.error && <Problem error={enter.error} />}
          <Field label="Email">
            {(control) => (
              <input {...control} name="email" type="email" autoComplete="username" required />
            )}
          </Field>
          <Password autoComplete={password} hint={hint} />
          <button type="submit" className="button primary" disabled={enter.isPending}>
            {title}
          </button>
        </form>
        <p className="auth-other">
          {other.ask} <Link href={`${other.href}${query(search)}`}>{other.text}</Link>
        </p>
      </Page>
    </main>
  );
}

function query(search: URLSearchParams): string {
  return search.size > 0 ? `?${search}` : "";
}

function Password({ autoComplete, hint }: { autoComplete: string; hint: string | null }) {
  const [shown, setShown] = useState(false);
  const Icon = shown ? EyeOff : Eye;
  return (
    <Field label="Password" hint={hint}>
      {(control) => (
        <div className="field-row">
          <input
            {...control}
            name="password"
            type={shown ? "text" : "password"}
            autoComplete={autoComplete}
            minLength={hint ? 8 : undefined}
            required
          />
          <button
            type="button"
            className="icon-button"
            aria-label="Show what is typed"
            aria-pressed={shown}
            onClick={() => setShown(!shown)}
          >
            <Icon aria-hidden size={17} />
          </button>
        </div>
      )}
    </Field>
  );
}
