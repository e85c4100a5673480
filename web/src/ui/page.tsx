import { type ReactNode, useEffect, useRef } from "react";

let arrived = false;

interface PageProps {
  title: string;
  /** What the heading shows, where it is more than the title. */
  heading?: ReactNode;
  /** Buttons and facts beside the heading. */
  aside?: ReactNode;
  className?: string;
  children: ReactNode;
}

/** A page names its tab, and takes the focus to its heading when somebody navigates to it. */
export function Page({ title, heading, aside, className, children }: PageProps) {
  const top = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Windlass`;
  }, [title]);
  useEffect(() => {
    // The first page of a visit leaves the focus where the browser put it.
    if (arrived) top.current?.focus();
    arrived = true;
  }, []);
  return (
    <div className={`page ${className ?? ""}`}>
      <header className="page-head">
        <h1 ref={top} tabIndex={-1}>
          {heading ?? title}
        </h1>
        {aside}
      </header>
      {children}
    </div>
  );
}
