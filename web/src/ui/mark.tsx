/** The windlass seen from its side: a drum and eight handspikes. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg className="mark" viewBox="0 0 32 32" width={size} height={size} aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round">
        <circle cx="16" cy="16" r="5.2" />
        <path d="M16 5v4.2M16 22.8V27M5 16h4.2M22.8 16H27M8.2 8.2l3 3M20.8 20.8l3 3M23.8 8.2l-3 3M11.2 20.8l-3 3" />
      </g>
    </svg>
  );
}
