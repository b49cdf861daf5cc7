from rungs.ladder import main

raise SystemExit(main())
