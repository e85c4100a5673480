import { BookOpen, ListTree, Plus } from "lucide-react";
import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import type { User } from "../api/types";
import { Account } from "./account";
import { LiveLight } from "./live-light";
import { Mark } from "./mark";

/** What stands around every page of somebody who is signed in. */
export function Shell({ user, children }: { user: User; children: ReactNode }) {
  const [path] = useLocation();
  const current = (href: string) => (path === href ? "page" : undefined);
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="bar">
        <Link href="/jobs" className="brand" aria-label="Windlass, to your jobs">
          <Mark />
          <span>Windlass</span>
        </Link>
        <nav className="nav" aria-label="Pages">
          <Link href="/jobs" aria-current={current("/jobs")}>
            <ListTree aria-hidden size={17} />
            Jobs
          </Link>
          <a href="/docs">
            <BookOpen aria-hidden size={17} />
            API
          </a>
          <Link href="/jobs/new" className="nav-submit" aria-current={current("/jobs/new")}>
            <Plus aria-hidden size={17} />
            Submit a job
          </Link>
        </nav>
        <div className="bar-end">
          <LiveLight />
          <Account user={user} />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}
