import { QueryClientProvider } from "@tanstack/react-query";
import { Redirect, Route, Switch, useLocation, useSearchParams } from "wouter";
import { session } from "./api/client";
import { unreachable } from "./api/errors";
import { AuthPage } from "./pages/auth";
import { JobPage } from "./pages/job";
import { JobsPage } from "./pages/jobs";
import { NewJobPage } from "./pages/new-job";
import { NotFoundPage } from "./pages/not-found";
import { Shell } from "./ui/shell";
import { Boundary, Problem } from "./ui/states";
import { Toasts } from "./ui/toasts";
import { useStore } from "./ui/use-store";
import { queries } from "./wiring";

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <Gate />
      <Toasts />
    </QueryClientProvider>
  );
}

/** Shows what the session allows: nothing until it is known, so that no form flashes by on a reload. */
function Gate() {
  const state = useStore(session.state);
  const [path] = useLocation();
  switch (state.kind) {
    case "unknown":
      return null;
    case "unreachable":
      return (
        <main className="auth">
          <Problem error={unreachable()} retry={() => session.restore()} />
        </main>
      );
    case "anonymous":
      return <SignedOut path={path} />;
    case "signed-in":
      return (
        <Shell user={state.user}>
          <Boundary key={path}>
            <Pages />
          </Boundary>
        </Shell>
      );
  }
}

function SignedOut({ path }: { path: string }) {
  const next = path + location.search;
  return (
    <Switch>
      <Route path="/login">
        <AuthPage key="login" kind="login" />
      </Route>
      <Route path="/signup">
        <AuthPage key="signup" kind="signup" />
      </Route>
      <Route>
        <Redirect
          href={path === "/" ? "/login" : `/login?next=${encodeURIComponent(next)}`}
          replace
        />
      </Route>
    </Switch>
  );
}

function Pages() {
  return (
    <Switch>
      <Route path="/jobs">
        <JobsPage />
      </Route>
      <Route path="/jobs/new">
        <NewJobPage />
      </Route>
      <Route path="/jobs/:id">{({ id }) => <JobPage key={id} id={id} />}</Route>
      <Route path="/">
        <Redirect href="/jobs" replace />
      </Route>
      <Route path="/login">
        <Onwards />
      </Route>
      <Route path="/signup">
        <Onwards />
      </Route>
      <Route>
        <NotFoundPage />
      </Route>
    </Switch>
  );
}

/** To where the log-in interrupted; only ever to a page of ours. */
function Onwards() {
  const [search] = useSearchParams();
  const next = search.get("next") ?? "";
  return <Redirect href={/^\/(?![/\\])/.test(next) ? next : "/jobs"} replace />;
}
